// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <set>
#include <thread>

#include "audit/log.h"
#include "audit/verify.h"
#include "base/file.h"

namespace bcai::audit {
namespace {

namespace fs = std::filesystem;

class AuditTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "audit_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = fs::path(name) / "audit";
  }
  void TearDown() override { fs::remove_all(directory_.parent_path()); }

  std::unique_ptr<Log> open(int64_t file_bytes_max = kFileBytesMax) {
    auto log = Log::open(directory_, file_bytes_max);
    EXPECT_TRUE(log) << log.error().message;
    return log ? *std::move(log) : nullptr;
  }
  void write(int count, int64_t file_bytes_max = kFileBytesMax) {
    const auto log = open(file_bytes_max);
    for (int i = 0; i < count; i++) {
      ASSERT_TRUE(log->append("test", {{"number", i}}));
    }
  }
  fs::path only_file() const { return directory_ / file_name(1); }
  std::string text_of(const fs::path& file) const {
    const auto text = read_file(file);
    return text ? *text : "";
  }
  std::string error_of_verify(const std::optional<Head>& known = {}) const {
    const auto verified = verify(directory_, known);
    return verified ? "" : verified.error().message;
  }
  std::vector<Record> records() const {
    std::vector<Record> out;
    (void)verify(directory_, {}, [&](const Record& r, std::string_view) { out.push_back(r); });
    return out;
  }

  fs::path directory_;
};

TEST_F(AuditTest, RecordsFollowEachOther) {
  write(3);
  const auto verified = verify(directory_);
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(verified->records, 3);
  EXPECT_EQ(verified->first_seq, 1);
  EXPECT_EQ(verified->head.seq, 3);
  const auto all = records();
  EXPECT_EQ(all[0].prev, Sha256{});
  EXPECT_EQ(all[1].prev, all[0].hash);
  EXPECT_EQ(all[2].members.at("number").as_int64(), 2);
  struct stat info {};
  ASSERT_EQ(stat(only_file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(AuditTest, AnotherProcessGoesOn) {
  write(2);
  write(2);
  EXPECT_EQ(error_of_verify(), "");
  EXPECT_EQ(records().size(), 4U);
}

TEST_F(AuditTest, OneWriter) {
  const auto first = open();
  const auto second = Log::open(directory_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(AuditTest, TheChainGoesOnOverFiles) {
  write(20, 600);
  write(20, 600);
  const auto files = files_of(directory_);
  ASSERT_TRUE(files);
  EXPECT_GT(files->size(), 5U);
  for (const fs::path& file : *files) EXPECT_LE(fs::file_size(file), 600U);
  EXPECT_EQ(error_of_verify(), "");
  EXPECT_EQ(records().size(), 40U);
  // A file of the middle alone, and the log without its oldest.
  const auto middle = verify((*files)[2]);
  ASSERT_TRUE(middle) << middle.error().message;
  EXPECT_GT(middle->first_seq, 1);
  fs::remove(files->front());
  EXPECT_EQ(error_of_verify(), "");
  fs::remove((*files)[3]);
  EXPECT_NE(error_of_verify().find("expected record"), std::string::npos) << error_of_verify();
}

TEST_F(AuditTest, EveryChangedByteIsFound) {
  write(3);
  const std::string whole = text_of(only_file());
  for (size_t i = 0; i < whole.size(); i++) {
    for (const char other : {static_cast<char>(whole[i] ^ 1), ' ', '9'}) {
      if (other == whole[i]) continue;
      std::string changed = whole;
      changed[i] = other;
      ASSERT_TRUE(write_file(only_file(), changed));
      EXPECT_NE(error_of_verify(), "") << "at " << i;
    }
  }
}

TEST_F(AuditTest, RemovedSwappedAndDoubledLinesAreFound) {
  write(4);
  std::vector<std::string> lines;
  std::string rest = text_of(only_file());
  while (!rest.empty()) {
    lines.push_back(rest.substr(0, rest.find('\n') + 1));
    rest.erase(0, lines.back().size());
  }
  const auto broken_with = [&](std::vector<std::string> order) {
    std::string text;
    for (const std::string& line : order) text += line;
    EXPECT_TRUE(write_file(only_file(), text));
    return error_of_verify();
  };
  const std::string file = only_file().string();
  EXPECT_EQ(broken_with({lines[0], lines[2], lines[3]}), file + ":2: expected record 2, found 3");
  EXPECT_EQ(broken_with({lines[0], lines[2], lines[1], lines[3]}),
            file + ":2: expected record 2, found 3");
  EXPECT_EQ(broken_with({lines[0], lines[1], lines[1]}), file + ":3: expected record 3, found 2");
  // Another record in its place, whole in itself.
  const auto forged = make_line({.seq = 1, .hash = {}}, WallTime{}, "test", {});
  EXPECT_EQ(broken_with({lines[0], forged->text}).find(file + ":2: record 2: expected prev "), 0U);
}

TEST_F(AuditTest, AFileWithoutItsFirstRecordsIsFound) {
  write(20, 600);
  const auto files = files_of(directory_);
  ASSERT_TRUE(files && files->size() > 3);
  const std::string text = text_of(files->front());
  ASSERT_TRUE(write_file(files->front(), text.substr(text.find('\n') + 1)));
  const std::string wrong = ":1: expected record 1, by the file's name, found 2";
  EXPECT_EQ(error_of_verify(), files->front().string() + wrong);
  EXPECT_EQ(verify(files->front()).error().message, files->front().string() + wrong);
  // Under a name that is not the log's own nothing is said of where it begins.
  const fs::path copy = directory_.parent_path() / "copy.jsonl";
  fs::copy_file(files->front(), copy);
  EXPECT_TRUE(verify(copy));
  fs::remove(files->front());
  EXPECT_EQ(error_of_verify(), "");  // moved away whole
  const std::string last = text_of(files->back());
  ASSERT_TRUE(write_file(directory_ / file_name(9), last));
  EXPECT_NE(error_of_verify(), "");
}

TEST_F(AuditTest, AnEmptiedLogIsFound) {
  write(20, 600);
  const auto files = files_of(directory_);
  ASSERT_TRUE(files);
  for (const size_t emptied : {size_t{0}, size_t{2}, files->size() - 1}) {
    const std::string text = text_of((*files)[emptied]);
    ASSERT_TRUE(write_file((*files)[emptied], ""));
    const auto verified = verify(directory_);
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().code, ErrorCode::kDataLoss);
    EXPECT_EQ(verified.error().message.find((*files)[emptied].string() + ": it is empty"), 0U)
        << verified.error().message;
    EXPECT_FALSE(verify((*files)[emptied]));
    ASSERT_TRUE(write_file((*files)[emptied], text));
  }
  const Head head{.seq = records().back().seq, .hash = records().back().hash};
  // The last that is left: who writes on would begin anew.
  for (const fs::path& file : *files) {
    if (file != files->back()) fs::remove(file);
  }
  ASSERT_TRUE(write_file(files->back(), ""));
  EXPECT_EQ(Log::open(directory_).error().code, ErrorCode::kDataLoss);
  fs::remove(files->back());
  EXPECT_EQ(verify(directory_).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(verify(directory_, head).error().code, ErrorCode::kDataLoss);
}

TEST_F(AuditTest, AHeadThatWasToldShowsACutEnd) {
  write(4);
  const Head told =
      records().back().members.empty() ? Head{} : Head{.seq = 4, .hash = records().back().hash};
  EXPECT_EQ(error_of_verify(told), "");
  EXPECT_TRUE(parse_head(told.text()) && *parse_head(told.text()) == told);
  std::string text = text_of(only_file());
  text.erase(text.rfind('\n', text.size() - 2) + 1);
  ASSERT_TRUE(write_file(only_file(), text));
  EXPECT_EQ(error_of_verify(), "");  // what the chain alone cannot show
  EXPECT_NE(error_of_verify(told).find("expected record 4"), std::string::npos);
  write(1);  // another record 4
  EXPECT_NE(error_of_verify(told).find("record 4: expected hash"), std::string::npos);
}

TEST_F(AuditTest, ATornLineIsSaidInTheNextRecord) {
  write(3);
  const std::string whole = text_of(only_file());
  const size_t third = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t cut = third + 1; cut < whole.size(); cut += 13) {
    ASSERT_TRUE(write_file(only_file(), whole.substr(0, cut)));
    EXPECT_NE(error_of_verify().find(":3: the last line is torn"), std::string::npos);
    write(1);
    EXPECT_EQ(error_of_verify(), "");
    const auto all = records();
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(all[2].kind, "recovered");
    EXPECT_EQ(all[2].members.at("torn_bytes").as_int64(), static_cast<int64_t>(cut - third));
    EXPECT_EQ(all[2].members.at("torn").as_string(), whole.substr(third, cut - third));
  }
}

TEST_F(AuditTest, ATornFirstLineOfALaterFile) {
  write(20, 600);
  const auto files = files_of(directory_);
  const auto torn = std::string("{\"seq\":");
  const std::string name = file_name(records().back().seq + 1);
  ASSERT_TRUE(write_file(directory_ / name, torn));
  write(1, 600);
  EXPECT_EQ(error_of_verify(), "");
  EXPECT_EQ(records()[20].kind, "recovered");
  EXPECT_EQ(records().size(), 22U);
}

TEST_F(AuditTest, AnEmptyFileOfACrash) {
  write(2);
  ASSERT_TRUE(write_file(directory_ / file_name(3), ""));
  write(1);
  EXPECT_EQ(error_of_verify(), "");
  EXPECT_EQ(records().size(), 3U);
}

TEST_F(AuditTest, ABrokenLogIsNotGoneOnWith) {
  write(3);
  std::string text = text_of(only_file());
  text[text.size() / 2] ^= 1;
  ASSERT_TRUE(write_file(only_file(), text));
  const auto log = Log::open(directory_);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, ErrorCode::kDataLoss);
  EXPECT_NE(log.error().message.find(":2: "), std::string::npos) << log.error().message;
}

TEST_F(AuditTest, WhatCouldNotBeWrittenLeavesNoTrace) {
  write(3);
  const auto log = open();
  const std::string before = text_of(only_file());
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{.rlim_cur = before.size() + 50, .rlim_max = limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto failed = log->append("test", {{"what", "does not fit"}});
  setrlimit(RLIMIT_FSIZE, &limit);
  EXPECT_FALSE(failed);
  EXPECT_EQ(text_of(only_file()), before);
  EXPECT_TRUE(log->append("test", {{"what", "fits"}}));
  EXPECT_EQ(error_of_verify(), "");
  EXPECT_FALSE(log->append("test", {{"what", std::string(kLineBytesMax, 'x')}}));
  EXPECT_EQ(error_of_verify(), "");
}

TEST_F(AuditTest, ManyThreads) {
  const auto log = open(4000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; i++) EXPECT_TRUE(log->append("test", {{"i", i}}));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(error_of_verify(), "");
  EXPECT_EQ(log->head().seq, 200);
}

TEST(AuditEscape, IsPrintableAsciiAndBounded) {
  EXPECT_EQ(escape("plain text", 100), "plain text");
  EXPECT_EQ(escape("a\n\x1b[31m\\\xc3\xa9", 100), "a\\x0a\\x1b[31m\\x5c\\xc3\\xa9");
  EXPECT_EQ(escape("0123456789", 8), "01234\xE2\x80\xA6");
  EXPECT_EQ(escape("\n\n\n", 9), "\\x0a\xE2\x80\xA6");
  EXPECT_LE(escape(std::string(1000, '\n'), 64).size(), 64U);
}

TEST(AuditRecord, WhatIsNoRecord) {
  for (const char* line : {"", "x", "[]", "{}", R"({"seq":1})",
                           R"({"seq":"1","time":"t","prev":"p","kind":"k","hash":"h"})"}) {
    const auto record = parse_line(line);
    ASSERT_FALSE(record) << line;
    EXPECT_EQ(record.error().code, ErrorCode::kDataLoss);
  }
  const auto line = make_line({}, WallTime{}, "k", {{"a", 1}});
  ASSERT_TRUE(line);
  const std::string text = line->text.substr(0, line->text.size() - 1);
  EXPECT_TRUE(parse_line(text));
  EXPECT_FALSE(parse_line(text + " "));  // JSON too, but not this form
  for (const char* head : {"", "1", "1:", "x:00", "0:", "1:zz"}) EXPECT_FALSE(parse_head(head));
}

}  // namespace
}  // namespace bcai::audit
