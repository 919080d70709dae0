// SPDX-License-Identifier: Apache-2.0
#include "audit/verify.h"

#include <algorithm>
#include <charconv>

#include "base/ascii.h"
#include "base/file.h"

namespace bcai::audit {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFileReadMax = int64_t{1} << 30;
constexpr size_t kNameDigits = 16;

bool is_file_name(const std::string& name) {
  return name.size() == kNameDigits + 6 && name.ends_with(".jsonl") &&
         std::all_of(name.begin(), name.begin() + kNameDigits, is_digit);
}

// The number of its first record, by its name; 0: a name that is not the log's own.
int64_t first_seq_of(const fs::path& file) {
  const std::string name = file.filename();
  int64_t seq = 0;
  if (is_file_name(name)) std::from_chars(name.data(), name.data() + kNameDigits, seq);
  return seq;
}

// What is wrong between two records; "" for nothing.
std::string gap(const std::optional<Head>& before, const Record& record) {
  if (!before && record.seq > 1) return "";  // older files were moved away
  const Head expected = before.value_or(Head{});
  if (record.seq != expected.seq + 1) {
    return fmt::format("expected record {}, found {}", expected.seq + 1, record.seq);
  }
  if (record.prev != expected.hash) {
    return fmt::format("record {}: expected prev {}, found {}", record.seq, expected.hash.text(),
                       record.prev.text());
  }
  return "";
}

// Heads of interest on the way.
struct Sought {
  const std::optional<Head>& known;
  bool seen = false;
  std::string wrong;

  void look(const Record& record) {
    if (!known || record.seq != known->seq) return;
    seen = true;
    if (record.hash != known->hash) {
      wrong = fmt::format("record {}: expected hash {}, found {}", record.seq, known->hash.text(),
                          record.hash.text());
    }
  }
};

}  // namespace

std::string file_name(int64_t first_seq) { return fmt::format("{:016}.jsonl", first_seq); }

Result<std::vector<fs::path>> files_of(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code failed;
  for (fs::directory_iterator it(directory, failed), end; !failed && it != end;
       it.increment(failed)) {
    if (is_file_name(it->path().filename())) files.push_back(it->path());
  }
  if (failed) return errno_error(failed.value(), "read " + directory.string());
  std::sort(files.begin(), files.end());
  return files;
}

Result<FileEnd> read_file_of_log(const fs::path& file, const std::optional<Head>& before,
                                 const OnRecord& on_record) {
  BCAI_TRY_ASSIGN(const std::string text, bcai::read_file(file, kFileReadMax));
  FileEnd end;
  const int64_t first = first_seq_of(file);
  std::optional<Head> last = before;
  std::string_view rest = text;
  for (int64_t number = 1; !rest.empty(); number++) {
    const size_t newline = rest.find('\n');
    if (newline == std::string_view::npos) {
      end.torn = rest;
      break;
    }
    const std::string_view line = rest.substr(0, newline);
    const auto record = parse_line(line);
    std::string wrong = record ? gap(last, *record) : record.error().message;
    if (wrong.empty() && number == 1 && first > 0 && record->seq != first) {
      wrong = fmt::format("expected record {}, by the file's name, found {}", first, record->seq);
    }
    if (!wrong.empty()) {
      end.error.message = fmt::format("{}:{}: {}", file.string(), number, wrong);
      break;
    }
    last = Head{.seq = record->seq, .hash = record->hash};
    if (end.records++ == 0) end.first_seq = record->seq;
    end.head = *last;
    rest.remove_prefix(newline + 1);
    end.bytes = static_cast<int64_t>(text.size() - rest.size());
    if (on_record) on_record(*record, line);
  }
  return end;
}

Result<Verified> verify(const fs::path& path, const std::optional<Head>& known,
                        const OnRecord& on_record) {
  std::vector<fs::path> files{path};
  std::error_code failed;
  if (fs::is_directory(path, failed)) {
    BCAI_TRY_ASSIGN(files, files_of(path));
    if (files.empty()) {
      return error(known ? ErrorCode::kDataLoss : ErrorCode::kNotFound,
                   "{} holds no audit log: expected {} or later ones", path.string(), file_name(1));
    }
  }
  Verified verified;
  Sought sought{.known = known, .seen = false, .wrong = ""};
  std::optional<Head> before;
  for (const fs::path& file : files) {
    const auto take = [&](const Record& record, std::string_view line) {
      sought.look(record);
      if (on_record) on_record(record, line);
    };
    BCAI_TRY_ASSIGN(const FileEnd end, read_file_of_log(file, before, take));
    if (!end.error.message.empty()) return end.error;
    if (!end.torn.empty()) {
      return error(ErrorCode::kDataLoss,
                   "{}:{}: the last line is torn: {} bytes without an end (a crash while it was "
                   "written; the writer says so in its next record)",
                   file.string(), end.records + 1, end.torn.size());
    }
    if (end.records == 0) {
      return error(ErrorCode::kDataLoss,
                   "{}: it is empty (its records were taken away, or a crash came before the first "
                   "was written; what is written next mends that)",
                   file.string());
    }
    if (verified.records == 0) verified.first_seq = end.first_seq;
    verified.records += end.records;
    verified.head = end.head;
    before = end.head;
  }
  if (!sought.wrong.empty())
    return Error{ErrorCode::kDataLoss, path.string() + ": " + sought.wrong};
  if (known && !sought.seen) {
    return error(ErrorCode::kDataLoss,
                 "{}: expected record {} with hash {}, found {} to {}: the end, or that part, was "
                 "taken away",
                 path.string(), known->seq, known->hash.text(), verified.first_seq,
                 verified.head.seq);
  }
  return verified;
}

}  // namespace bcai::audit
