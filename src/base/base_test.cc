// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>

#include "base/ascii.h"
#include "base/clip.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/decode.h"
#include "base/file.h"
#include "base/id.h"
#include "base/path.h"
#include "base/seal.h"
#include "base/units.h"

namespace bcai {
namespace {

TEST(Result, CarriesAValueOrAnError) {
  const auto half = [](int n) -> Result<int> {
    if (n % 2 != 0) return error(ErrorCode::kInvalidArgument, "{} is odd", n);
    return n / 2;
  };
  const auto quarter = [&](int n) -> Result<int> {
    BCAI_TRY_ASSIGN(const int once, half(n));
    return half(once);
  };
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).error().message, "3 is odd");
  EXPECT_EQ(quarter(7).error().message, "7 is odd");
}

TEST(Ascii, ClassesAndCasesAreThoseOfTheCLocale) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    EXPECT_EQ(is_digit(c), std::isdigit(byte) != 0) << byte;
    EXPECT_EQ(is_lower(c), std::islower(byte) != 0) << byte;
    EXPECT_EQ(is_upper(c), std::isupper(byte) != 0) << byte;
    EXPECT_EQ(is_letter(c), std::isalpha(byte) != 0) << byte;
    EXPECT_EQ(is_alphanumeric(c), std::isalnum(byte) != 0) << byte;
    EXPECT_EQ(lower(c), static_cast<char>(std::tolower(byte))) << byte;
  }
  EXPECT_EQ(lower("Straße-É_9"), "straße-É_9");
  EXPECT_TRUE(equal_without_case("Content-Type", "content-tYPE"));
  EXPECT_FALSE(equal_without_case("a[", "a{"));
}

TEST(Clip, CutsBetweenCharactersAndReplacesWhatIsNotUtf8) {
  EXPECT_EQ(clip_utf8("abc", 3), "abc");
  EXPECT_EQ(clip_utf8("abcd", 3), "\u2026");
  EXPECT_EQ(clip_utf8("abcdef", 5), "ab\u2026");
  EXPECT_EQ(clip_utf8("a\u00e9\u00e9\u00e9", 6), "a\u00e9\u2026");
  EXPECT_EQ(clip_utf8("a\xff"
                      "b",
                      10),
            "a\uFFFD"
            "b");
  EXPECT_EQ(clip_utf8("\xed\xa0\x80", 20), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(clip_utf8("\xc0\xaf", 20), "\uFFFD\uFFFD");            // too long a form
  EXPECT_EQ(clip_utf8("\xf0\x9f\x98\x80", 4), "\xf0\x9f\x98\x80");
  EXPECT_EQ(clip_utf8("\xf0\x9f\x98", 20), "\uFFFD\uFFFD\uFFFD");
}

TEST(Clock, FormatsRfc3339) {
  EXPECT_EQ(format_time({1'700'000'000'123}), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(format_time({-1}), "1969-12-31T23:59:59.999Z");
}

TEST(Id, RoundTripsAndSortsByAge) {
  SeededRandom random(7);
  const JobId early = JobId::make({1'000}, random);
  const JobId late = JobId::make({2'000}, random);
  EXPECT_EQ(early.text().size(), 30U);
  EXPECT_LT(early.text(), late.text());
  EXPECT_LT(early, late);
  for (int i = 0; i < 1000; ++i) {
    const JobId id = JobId::make({i}, random);
    EXPECT_EQ(*JobId::parse(id.text()), id);
  }
}

TEST(Id, RefusesOtherText) {
  SeededRandom random(7);
  const std::string good = JobId::make({1}, random).text();
  EXPECT_FALSE(JobId::parse(""));
  EXPECT_FALSE(JobId::parse(good.substr(1)));
  EXPECT_FALSE(JobId::parse(good + "0"));
  EXPECT_FALSE(JobId::parse("node_" + good.substr(4)));
  std::string upper = good;
  upper[10] = 'U';  // not in the alphabet
  EXPECT_FALSE(JobId::parse(upper));
  EXPECT_FALSE(JobId::parse("job_zzzzzzzzzzzzzzzzzzzzzzzzzz"));  // more than 128 bits
  EXPECT_TRUE(JobId::parse("job_7zzzzzzzzzzzzzzzzzzzzzzzzz"));
}

TEST(Base64, IsThatOfRfc4648) {
  const std::map<std::string, std::string> known = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"\xff\xfe", "//4="}};
  for (const auto& [bytes, text] : known) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(*from_base64(text), bytes);
  }
  for (const char* wrong : {"Zg", "Zg=", "Z", "Zm9v\n", "Zm-v", "Zh=="}) {
    EXPECT_FALSE(from_base64(wrong)) << wrong;
  }
}

TEST(Sha256, MatchesPublishedVectors) {
  // FIPS 180-4, examples.
  EXPECT_EQ(Sha256::of("").text(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256::of("abc").text(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256Stream stream;
  stream.update("a");
  stream.update("bc");
  EXPECT_EQ(stream.finish(), Sha256::of("abc"));
  EXPECT_EQ(*Sha256::parse(Sha256::of("abc").text()), Sha256::of("abc"));
  EXPECT_FALSE(Sha256::parse("ABC"));
}

TEST(Ed25519, MatchesRfc8032) {
  // RFC 8032 section 7.1, test 2.
  const std::string seed =
      *from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
  const SigningKey key = SigningKey::from_seed(
      std::span<const uint8_t, 32>(reinterpret_cast<const uint8_t*>(seed.data()), 32));
  EXPECT_EQ(to_hex(key.public_key),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const std::string signature = key.sign("r");
  EXPECT_EQ(signature,
            *from_hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"));
  EXPECT_TRUE(verify_signature(key.public_key, "r", signature));
  EXPECT_FALSE(verify_signature(key.public_key, "s", signature));
  EXPECT_FALSE(verify_signature(key.public_key, "r", signature.substr(1)));
}

TEST(File, ReplacesInOneStep) {
  const auto path = std::filesystem::temp_directory_path() / "bcai_base_test_file";
  ASSERT_TRUE(write_file(path, "one", Durability::kSynced));
  ASSERT_TRUE(write_file(path, "two"));
  EXPECT_EQ(*read_file(path), "two");
  EXPECT_EQ(read_file(path, 2).error().code, ErrorCode::kResourceExhausted);
  std::filesystem::remove(path);
  EXPECT_EQ(read_file(path).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(write_file("/nonexistent/file", "x"));
}

TEST(Path, StaysInsideTheDirectory) {
  namespace fs = std::filesystem;
  const fs::path base = fs::path(testing::TempDir()) / "path_inside";
  fs::remove_all(base);
  fs::create_directories(base / "in" / "deep");
  ASSERT_TRUE(write_file(base / "out", "x"));
  ASSERT_TRUE(write_file(base / "in" / "deep" / "file", "x"));
  fs::create_symlink("deep/file", base / "in" / "link");
  fs::create_symlink("../out", base / "in" / "leak");
  const fs::path in = base / "in";
  EXPECT_EQ(*path_inside(in, "deep/file"), fs::canonical(in / "deep" / "file"));
  EXPECT_EQ(*path_inside(in, "link"), fs::canonical(in / "deep" / "file"));
  const std::string absolute = (in / "link").string();
  for (const std::string_view name :
       {std::string_view(), std::string_view("../out"), std::string_view("deep/../link"),
        std::string_view("leak"), std::string_view("link\0", 5), std::string_view(absolute)}) {
    const auto found = path_inside(in, name);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().code, ErrorCode::kPermissionDenied) << name;
  }
  EXPECT_EQ(path_inside(in, "absent").error().code, ErrorCode::kNotFound);
}

TEST(Json, RefusesWhatReadersDisagreeAbout) {
  EXPECT_TRUE(parse_json(R"({"a":[1,2.5,"x",null,true]})"));
  EXPECT_NE(parse_json("{\"a\":1,\n\"a\":2}").error().message.find("2:3: duplicate key 'a'"),
            std::string::npos)
      << parse_json("{\"a\":1,\n\"a\":2}").error().message;
  EXPECT_FALSE(parse_json("1e400"));
  EXPECT_FALSE(parse_json("NaN"));
  EXPECT_FALSE(parse_json("{} {}"));
  EXPECT_FALSE(parse_json("\"\xff\""));
  EXPECT_FALSE(parse_json(""));
  EXPECT_FALSE(parse_json(std::string(40, '[') + std::string(40, ']')));
  EXPECT_TRUE(parse_json(R"({"a":{"x":1},"b":{"x":2}})"));
}

TEST(Json, ReadsEveryDoubleExactly) {
  for (const char* text : {"322200e60", "0.1", "1.7976931348623157e308", "2.2250738585072014e-308",
                           "5e-324", "9007199254740993.0", "123456789012345678901234567890"}) {
    EXPECT_EQ(parse_json(text)->as_double(), std::strtod(text, nullptr)) << text;
  }
  SeededRandom random(3);
  for (int i = 0; i < 10'000; ++i) {
    const double number = std::ldexp(static_cast<double>(random.next()), -64) *
                          std::pow(10.0, static_cast<double>(random.below(600)) - 300);
    EXPECT_EQ(parse_json(to_text(json::value(number)))->to_number<double>(), number);
  }
}

TEST(Json, WritesNoNumberThatIsNotOne) {
  json::object value{{"x", std::numeric_limits<double>::infinity()}, {"y", 1.5}};
  EXPECT_EQ(to_text(value), R"({"x":null,"y":1.5E0})");
}

TEST(Units, ReadsBytesAndDurations) {
  EXPECT_EQ(*parse_bytes("8GB"), 8'000'000'000);
  EXPECT_EQ(*parse_bytes("1.5 GiB"), 1'610'612'736);
  EXPECT_EQ(*parse_bytes("512"), 512);
  for (const char* bad : {"", "GB", "8 XB", "-1GB", "1e30GB", "nanGB", "8GBs", "infGB"}) {
    EXPECT_FALSE(parse_bytes(bad)) << bad;
  }
  EXPECT_EQ(format_bytes(2'000'000'000), "2 GB");
  EXPECT_EQ(format_bytes(1'536'000'000), "1.5 GB");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(*parse_duration("90s"), Millis(90'000));
  EXPECT_EQ(*parse_duration("2h"), Millis(7'200'000));
  EXPECT_FALSE(parse_duration("2 weeks"));
  EXPECT_EQ(format_duration(Millis(125'000)), "2 m 5 s");
}

TEST(Decoder, GathersEveryFinding) {
  const json::value value = *parse_json(
      R"({"name":7,"memory":"8XB","count":99,"colour":"green","flags":["a",3],"memroy":1})");
  std::vector<Finding> findings;
  Decoder in(value, "/job", &findings);
  std::string name;
  std::string code;
  int64_t memory = 1;
  int count = 2;
  std::string colour = "red";
  std::vector<std::string> flags;
  in.read("name", name);
  in.require("code", code);
  in.read_bytes("memory", memory);
  in.read("count", count, {0, 10});
  in.read_word("colour", colour, {"red", "blue"});
  in.read("flags", flags);
  in.refuse_unknown();
  ASSERT_EQ(findings.size(), 7U) << findings_text(findings);
  EXPECT_EQ(findings[0].pointer, "/job/name");
  EXPECT_EQ(findings[1].message, "is required");
  EXPECT_EQ(findings[5].pointer, "/job/flags/1");
  EXPECT_EQ(findings[6].message, "unknown field; did you mean 'memory'?");
  EXPECT_EQ(memory, 1);
  EXPECT_EQ(count, 2);
  EXPECT_EQ(colour, "red");
  EXPECT_TRUE(flags.empty());
}

TEST(Seal, OpensWithTheSameKeyAndSubjectAlone) {
  // draft-irtf-cfrg-xchacha-03, A.3.1.
  const std::string text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
      "future, sunscreen would be it.";
  std::array<uint8_t, 32> key;
  for (size_t i = 0; i < key.size(); i++) key[i] = static_cast<uint8_t>(0x80 + i);
  const std::string about = *from_hex("50515253c0c1c2c3c4c5c6c7");
  const std::string known = *from_hex(
      "404142434445464748494a4b4c4d4e4f5051525354555657"
      "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
      "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
      "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
      "21f9664c97637da9768812f615c68b13b52e"
      "c0875924c1c7987947deafd8780acf49");
  ASSERT_TRUE(unseal(key, known, about));
  EXPECT_EQ(*unseal(key, known, about), text);
  EXPECT_FALSE(unseal(key, known, about + " "));
  SystemRandom random;
  const std::string sealed = seal(key, text, "about", random);
  EXPECT_EQ(*unseal(key, sealed, "about"), text);
  EXPECT_FALSE(unseal(key, sealed.substr(0, 39), "about"));
  EXPECT_FALSE(unseal(key, "", "about"));
  key[0] ^= 1;
  EXPECT_FALSE(unseal(key, sealed, "about"));
}

TEST(Text, KnowsUtf8) {
  for (const char* text : {"", "a", "\u00e9", "\U0001f600"}) EXPECT_TRUE(is_utf8(text)) << text;
  for (const char* text : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xe2\x82", "a\x80"}) {
    EXPECT_FALSE(is_utf8(text)) << text;
  }
}

TEST(Decoder, EscapesPointers) {
  std::vector<Finding> findings;
  const json::value value = *parse_json(R"({"a/b~c":1})");
  Decoder in(value, "", &findings);
  in.refuse_unknown();
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].pointer, "/a~1b~0c");
}

}  // namespace
}  // namespace bcai
