// SPDX-License-Identifier: Apache-2.0
#include "base/yaml.h"

#include <gtest/gtest.h>

namespace bcai {
namespace {

json::value parsed(std::string_view text) {
  Result<YamlDocument> document = parse_yaml(text);
  EXPECT_TRUE(document) << (document ? "" : document.error().message);
  return document ? document->value : json::value(nullptr);
}

std::string problem(std::string_view text) {
  Result<YamlDocument> document = parse_yaml(text);
  return document ? "accepted as " + to_text(document->value) : document.error().message;
}

TEST(Yaml, ReadsBlockAndFlowForms) {
  EXPECT_EQ(to_text(parsed("name: a\nlist:\n  - 1\n  - two\nmap: {x: 1.5, y: [true, ~]}\n")),
            R"({"name":"a","list":[1,"two"],"map":{"x":1.5E0,"y":[true,null]}})");
  EXPECT_EQ(to_text(parsed("text: |\n  one\n  two\n")), R"({"text":"one\ntwo\n"})");
  EXPECT_EQ(to_text(parsed("- 'it''s'\n- \"\\u00e9\\n\"\n")), "[\"it's\",\"\u00e9\\n\"]");
}

TEST(Yaml, NothingIsNull) {
  EXPECT_TRUE(parsed("").is_null());
  EXPECT_TRUE(parsed("# only a comment\n").is_null());
  EXPECT_TRUE(parsed("---\n").is_null());
}

TEST(Yaml, PlainScalarsFollowTheCoreSchema) {
  const std::pair<const char*, const char*> cases[] = {
      {"null", "null"},
      {"Null", "null"},
      {"~", "null"},
      {"true", "true"},
      {"FALSE", "false"},
      {"tRUE", "\"tRUE\""},
      {"0", "0"},
      {"-7", "-7"},
      {"+7", "7"},
      {"0x1F", "31"},
      {"0o17", "15"},
      {"1e-4", "1E-4"},
      {"1.", "1E0"},
      {".5", "5E-1"},
      {"-.5e1", "-5E0"},
      {"1.2.3", "\"1.2.3\""},
      {"8GB", "\"8GB\""},
      {"0xZZ", "\"0xZZ\""},
      {"e5", "\"e5\""},
      {".", "\".\""},
      {"-x", "\"-x\""},
      {"a:1", "\"a:1\""},
      {"0x-1", "\"0x-1\""},
      {"127.0.0.1:80", "\"127.0.0.1:80\""},
      {"node:8321", "\"node:8321\""},
      {"22:8080", "\"22:8080\""},
      {"torch>=1.12", "\"torch>=1.12\""},
      {"9223372036854775807", "9223372036854775807"},
      {"nope", "\"nope\""},
      {"2024-01", "\"2024-01\""},
      {"1_a", "\"1_a\""},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_EQ(to_text(parsed("[" + std::string(text) + "]")), "[" + std::string(expected) + "]")
        << text;
  }
}

TEST(Yaml, WordsThatReadersDisagreeOnMustBeQuoted) {
  for (const char* word :
       {"no", "No", "yes", "YES", "on", "Off", "y", "N", "012", "-07", "00", "1:30", "12:30:45",
        "190:20:30.15", "0b101", "1_000", "2024-01-31", "2024-1-3", "2024-01-31T10:00:00Z"}) {
    const std::string message = problem("key: " + std::string(word) + "\n");
    EXPECT_TRUE(message.starts_with("1:6: /key: '")) << word << ": " << message;
    EXPECT_TRUE(message.ends_with("quote this")) << word << ": " << message;
    EXPECT_EQ(to_text(parsed("key: '" + std::string(word) + "'")),
              R"({"key":")" + std::string(word) + "\"}");
  }
  EXPECT_EQ(to_text(parsed("{on: 1, 012: 2, y: 3}")), R"({"on":1,"012":2,"y":3})");
}

TEST(Yaml, NumbersOutOfRangeAreFindings) {
  EXPECT_EQ(problem("a: 9223372036854775808"), "1:4: /a: 9223372036854775808 is out of range");
  EXPECT_EQ(problem("a: 0x8000000000000000"), "1:4: /a: 0x8000000000000000 is out of range");
  EXPECT_EQ(problem("a: 1e400"), "1:4: /a: 1e400 is out of range");
  EXPECT_EQ(problem("a: -.inf"), "1:4: /a: expected a finite number, found -.inf");
  EXPECT_EQ(problem("a: .nan"), "1:4: /a: expected a finite number, found .nan");
}

TEST(Yaml, EachDuplicateIsAFindingWithItsPlace) {
  EXPECT_EQ(problem("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n"),
            "4:3: /b/c: duplicate key 'c'; the first one's value is at 3:6; "
            "5:1: /a: duplicate key 'a'; the first one's value is at 1:4");
  EXPECT_EQ(to_text(parsed("a: {c: 1}\nb: {c: 2}")), R"({"a":{"c":1},"b":{"c":2}})");
  EXPECT_EQ(to_text(parsed("{'a/b': 1, a: {b: 2}}")), R"({"a/b":1,"a":{"b":2}})");
}

TEST(Yaml, RefusesTagsAnchorsAliasesAndMergeKeys) {
  EXPECT_EQ(problem("a: !!str 5"), "1:4: /a: tags are not supported");
  EXPECT_EQ(problem("a: ! 5"), "1:4: /a: tags are not supported");
  EXPECT_EQ(problem("a: &x 5\nb: *x\n"),
            "1:4: /a: anchors are not supported; "
            "2:4: /b: aliases are not supported; write the value out");
  EXPECT_EQ(problem("<<: {a: 1}"), "1:1: merge keys are not supported");
  EXPECT_EQ(problem("%TAG ! tag:x,2000:\n---\na: 1\n"),
            "1:1: tags are not supported; drop the %TAG line");
  EXPECT_EQ(problem("%YAML 1.1\n---\na: 1\n"), "1:1: expected YAML 1.2; drop the %YAML line");
  EXPECT_EQ(to_text(parsed("%YAML 1.2\n---\na: 1\n...\n")), R"({"a":1})");
}

TEST(Yaml, OneDocumentOnly) {
  EXPECT_EQ(problem("a: 1\n---\nb: 2\n"), "2:1: expected one document, found another");
}

TEST(Yaml, SyntaxErrorsNameThePlace) {
  EXPECT_TRUE(problem("a: 1\n  b: 2\n").starts_with("2:4: mapping values are not allowed"));
  EXPECT_TRUE(problem("a: [1, 2\nb: 3\n").starts_with("2:"));
  EXPECT_EQ(problem("a:\n\tb: 1\n"), "2:1: a tab; indent with spaces");
  EXPECT_TRUE(problem("\u00e9: 1\nb: \x01\n").starts_with("2:4: control characters"));
  EXPECT_TRUE(problem("a: \"\xff\"").starts_with("1:5: invalid"));
  EXPECT_EQ(problem("? [a]\n: 1\n"), "1:3: expected a word as the key");
  EXPECT_EQ(problem("?\n: 1\n"), "1:2: expected a key before ':'");
  EXPECT_TRUE(problem("a: 'x\n").find("that begins at 1:4") != std::string::npos);
}

TEST(Yaml, LimitsHold) {
  EXPECT_EQ(to_text(parsed(std::string(64, '[') + std::string(64, ']'))),
            std::string(64, '[') + std::string(64, ']'));
  EXPECT_EQ(problem(std::string(66, '[') + std::string(66, ']')), "1:66: more than 64 levels");
  std::string many = "[";
  for (int i = 0; i < 100'000; ++i) many += "1,";
  EXPECT_TRUE(problem(many + "]").find("more than 100000 values") != std::string::npos);
  EXPECT_TRUE(problem(std::string((1 << 20) + 1, ' ')).find("1 MiB") != std::string::npos);
  // A long key above many values must not be repeated for each of them.
  std::string wide = "? " + std::string(100'000, 'k') + "\n: [";
  for (int i = 0; i < 90'000; ++i) wide += "1,";
  EXPECT_TRUE(problem(wide + "]").find("keys too long") != std::string::npos);
}

TEST(Yaml, AtMostTwentyFindings) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += fmt::format("k{}: no\n", i);
  std::vector<Finding> findings;
  EXPECT_FALSE(parse_yaml(text, &findings));
  ASSERT_EQ(findings.size(), 20U);
  EXPECT_EQ(findings[19].line, 20);
  EXPECT_EQ(findings[19].column, 6);
  EXPECT_EQ(findings[19].pointer, "/k19");
}

TEST(Yaml, LocatesFindingsAndFallsBackToTheParent) {
  Result<YamlDocument> document = parse_yaml("a:\n  b/c: 5\n  d:\n    - x\n    - z\n");
  ASSERT_TRUE(document);
  std::vector<Finding> findings{{.pointer = "/a/b~1c", .message = "m"},
                                {.pointer = "/a/d/1", .message = "m"},
                                {.pointer = "/a/none/deeper", .message = "m"},
                                {.pointer = "/other", .message = "m"},
                                {.pointer = "/a", .message = "m", .line = 9, .column = 9}};
  document->locate(&findings);
  EXPECT_EQ(findings_text(findings),
            "2:8: /a/b~1c: m; 5:7: /a/d/1: m; 2:3: /a/none/deeper: m; 1:1: /other: m; 9:9: /a: m");
}

TEST(Yaml, ColumnsCountCharacters) {
  EXPECT_EQ(problem("\u00e9\u00e9: no"),
            "1:5: /\u00e9\u00e9: 'no' is true or false to some "
            "readers: quote this");
}

}  // namespace
}  // namespace bcai
