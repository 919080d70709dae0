// SPDX-License-Identifier: Apache-2.0
#include "sandbox/mask.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "sandbox/masked_callbacks.h"

namespace bcai::sandbox {
namespace {

using Secrets = std::vector<std::pair<std::string, std::string>>;

// By the definition: each byte of each occurrence is marked, and the longest end that could be the
// beginning of one; each run of marked bytes is "***".
std::string masked_by_definition(const std::string& text, const std::vector<std::string>& values) {
  std::vector<bool> marked(text.size());
  for (const std::string& value : values) {
    for (size_t at = 0; (at = text.find(value, at)) != std::string::npos; at++) {
      for (size_t i = 0; i < value.size(); i++) marked[at + i] = true;
    }
  }
  // The longest end that is a beginning of a value.
  size_t longest = 0;
  for (const std::string& value : values) {
    for (size_t length = 4; length < value.size() && length <= text.size(); length++) {
      if (text.ends_with(value.substr(0, length))) longest = std::max(longest, length);
    }
  }
  for (size_t i = 0; i < longest; i++) marked[text.size() - 1 - i] = true;
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (!marked[i]) {
      out += text[i];
    } else if (i == 0 || !marked[i - 1]) {
      out += "***";
    }
  }
  return out;
}

TEST(Mask, SaysWhatTheDefinitionSaysHoweverTheTextIsCut) {
  std::mt19937 random(7);
  const auto word = [&](size_t min, size_t max) {
    std::string out(min + random() % (max - min + 1), 'a');
    for (char& c : out) c = static_cast<char>('a' + random() % 2);
    return out;
  };
  int masked_something = 0;
  for (int round = 0; round < 5000; round++) {
    Secrets secrets;
    std::vector<std::string> values;
    for (size_t i = 0; i < 1 + random() % 3; i++) {
      values.push_back(word(4, 9));
      secrets.emplace_back("NAME", values.back());
    }
    const std::string text = word(0, 60);
    const std::string expected = masked_by_definition(text, values);
    const Mask mask(secrets);
    EXPECT_EQ(mask.text(text), expected);
    MaskedStream stream(mask);
    SecretSearch search(mask);
    bool found = false;
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t size = 1 + random() % 7;
      out += stream.feed(std::string_view(text).substr(at, size));
      found = search.feed(std::string_view(text).substr(at, size));
      at += size;
    }
    out += stream.finish();
    EXPECT_EQ(out, expected) << text;
    const bool holds = std::any_of(values.begin(), values.end(), [&](const std::string& value) {
      return text.find(value) != std::string::npos;
    });
    EXPECT_EQ(found, holds) << text;
    masked_something += expected != text;
  }
  EXPECT_GT(masked_something, 1000);
}

TEST(Mask, KnowsAValueAsJsonAndReprWriteIt) {
  // The forms are those of Python 3.11's json.dumps() and repr().
  const Mask mask(Secrets{{"NAME", "p\"w\\\n'\u00e9\U0001f600"}});
  for (const std::string form : {
           "p\"w\\\n'\u00e9\U0001f600",
           R"(p\"w\\\n'\u00e9\ud83d\ude00)",
           "p\\\"w\\\\\\n'\u00e9\U0001f600",
           "p\"w\\\\\\n\\'\u00e9\U0001f600",
       }) {
    EXPECT_EQ(mask.text("<" + form + ">"), "<***>") << form;
  }
}

TEST(Mask, KnowsAValueAsAsciiAndReprOfBytesWriteIt) {
  // The forms are those of Python 3.11's repr(value.encode()), ascii(value), and of these and
  // repr(value) beside a double quote, which has single ones escaped.
  const Mask mask(Secrets{{"NAME", "it's\t\u00e9\u20ac\U0001f600\x7f"}});
  for (const std::string form : {
           R"(it's\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f)",
           R"(it\'s\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f)",
           R"(it's\t\xe9\u20ac\U0001f600\x7f)",
           R"(it\'s\t\xe9\u20ac\U0001f600\x7f)",
           "it\\'s\\t\u00e9\u20ac\U0001f600\\x7f",
       }) {
    EXPECT_EQ(mask.text("<" + form + ">"), "<***>") << form;
  }
}

TEST(Mask, KnowsTheLinesOfAValue) {
  const std::string pem =
      "-----BEGIN KEY-----\r\nMIIEvQIBADANBg\r\n  h\u00e9llo w\u00f6rld \r\nshort\r\n-----END "
      "KEY-----\r\n";
  const Mask mask(Secrets{{"KEY", pem}, {"WORDS", "one\ntwo"}});
  EXPECT_EQ(mask.text("MIIEvQIBADANBg short -----END KEY----- h\\xe9llo w\\xf6rld"),
            "*** short *** ***");
  EXPECT_EQ(mask.text("a " + pem + "b"), "a ***\r\nb");
  EXPECT_EQ(mask.json(R"({"x":"-----BEGIN KEY-----\nMIIEvQIBADANBg\nshort"})"),
            R"({"x":"***\n***\nshort"})");
  EXPECT_EQ(mask.text("one two one\ntwo"), "one two ***");
  MaskedStream stream(mask);
  EXPECT_EQ(stream.feed("-----BEG"), "");
  EXPECT_EQ(stream.feed("IN CERTIFICATE-----\nMIIEvQ"), "-----BEGIN CERTIFICATE-----\n");
  EXPECT_EQ(stream.finish(), "***");
}

TEST(Mask, FindsAnyOfManyLinesInOneWalk) {
  std::mt19937 random(11);
  std::string value;
  std::vector<std::string> lines;
  for (int i = 0; i < 5000; i++) {
    lines.push_back(fmt::format("{:08x}{:08x}", random(), random()));
    value += lines.back() + "\n";
  }
  const Mask mask(Secrets{{"TABLE", value}});
  std::string text;
  std::string expected;
  for (int i = 0; i < 50'000; i++) {
    text += lines[random() % lines.size()] + ";" + fmt::format("{:08x} ", random());
    expected += "***;" + text.substr(text.size() - 9);
  }
  EXPECT_EQ(mask.text(text), expected);
  SecretSearch search(mask);
  EXPECT_FALSE(search.feed(std::string(1'000'000, '0')));
  EXPECT_FALSE(search.feed(lines[7].substr(0, 9)));
  EXPECT_TRUE(search.feed(lines[7].substr(9)));
}

TEST(Mask, LooksPastBlanksAndLeavesWhatIsShort) {
  EXPECT_EQ(Mask(Secrets{{"NAME", "  hunter22\n"}}).text("it is hunter22."), "it is ***.");
  EXPECT_TRUE(Mask({{"NAME", "abc"}, {"OTHER", " abc \n"}}).empty());
  EXPECT_EQ(Mask(Secrets{{"NAME", "abc"}}).text("abc"), "abc");
}

TEST(Mask, KnowsAValueInJsonHoweverItIsEscaped) {
  const Mask mask(Secrets{{"NAME", "a\nb\"c4711"}});
  const std::string json = R"({"a":["\u0061\nb\u0022c4711",1,{"a\nb\"c4711":null}],)"
                           R"("traceback":"KeyError: 'a\\nb\"c4711'"})";
  EXPECT_EQ(mask.json(json), R"({"a":["***",1,{"***":null}],"traceback":"KeyError: '***'"})");
  EXPECT_EQ(Mask(Secrets{{"PIN", "1234"}}).json("[1234,51234,12]"), R"(["***","5***",12])");
}

TEST(Mask, HoldsBackNothingThatIsNoBeginning) {
  const Mask mask(Secrets{{"NAME", "hunter22"}});
  MaskedStream stream(mask);
  EXPECT_EQ(stream.feed("the hunt"), "the ");
  EXPECT_EQ(stream.feed("ing"), "hunting");
  EXPECT_EQ(stream.feed("hunter2"), "");
  EXPECT_EQ(stream.feed("2 and hun"), "*** and ");
  EXPECT_EQ(stream.finish(), "hun");
}

TEST(MaskedCallbacks, MaskEachStreamAndTheMessages) {
  const Mask mask({{"NAME", "hunter22"}, {"PIN", "1234"}});
  std::string out;
  std::string err;
  std::vector<std::string> messages;
  const Callbacks listeners{
      .on_started = {},
      .on_output = [&](Stream stream,
                       std::string_view data) { (stream == Stream::kStdout ? out : err) += data; },
      .on_message = [&](std::string_view line) { messages.emplace_back(line); }};
  MaskedCallbacks masked(mask, listeners);
  masked.callbacks().on_output(Stream::kStdout, "a hunt");
  masked.callbacks().on_output(Stream::kStderr, "er22 hunter");
  masked.callbacks().on_output(Stream::kStdout, "er22");
  masked.callbacks().on_message(R"({"progress":{"message":"hunter22"}})");
  masked.callbacks().on_message(R"({"metric":{"name":"pin","value":1234.5}})");
  masked.callbacks().on_message("no JSON at all: hunter22");
  masked.finish();
  EXPECT_EQ(out, "a ***");
  EXPECT_EQ(err, "er22 ***");
  EXPECT_EQ(messages, (std::vector<std::string>{R"({"progress":{"message":"***"}})",
                                                R"({"metric":{"name":"pin","value":"***.5"}})",
                                                "no JSON at all: ***"}));
}

}  // namespace
}  // namespace bcai::sandbox
