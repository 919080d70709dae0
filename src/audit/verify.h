// SPDX-License-Identifier: Apache-2.0
// Reads an audit log and holds each record against the one before it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "audit/record.h"

namespace bcai::audit {

// "0000000000000001.jsonl", by the number of its first record.
std::string file_name(int64_t first_seq);

// Of a directory, in their order. kNotFound.
Result<std::vector<std::filesystem::path>> files_of(const std::filesystem::path& directory);

using OnRecord = std::function<void(const Record& record, std::string_view line)>;

struct FileEnd {
  int64_t records = 0;
  int64_t first_seq = 0;
  Head head;                              // of the last whole record; seq 0: there is none
  int64_t bytes = 0;                      // up to its end
  std::string torn;                       // after the last newline
  Error error{ErrorCode::kDataLoss, ""};  // "FILE:LINE: …" of the first broken record; "" for none
};
// Up to the first broken record. `before`: what the first record must follow; nothing: anything,
// but a first record of all. A file with a name of the log's own begins with the record that it is
// named by. An Error: the file cannot be read.
Result<FileEnd> read_file_of_log(const std::filesystem::path& file,
                                 const std::optional<Head>& before, const OnRecord& on_record = {});

struct Verified {
  int64_t records = 0;
  int64_t first_seq = 0;  // 1, or more where older files were moved away
  Head head;
};
// A file or a directory. `known`: a head that was told earlier, which must be in there. kDataLoss
// names file, line, what was expected and what found; records before that were told. kNotFound: no
// such file or directory, or no log in it.
Result<Verified> verify(const std::filesystem::path& path, const std::optional<Head>& known = {},
                        const OnRecord& on_record = {});

}  // namespace bcai::audit
