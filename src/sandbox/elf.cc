// SPDX-License-Identifier: Apache-2.0
#include "sandbox/elf.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "base/file.h"

namespace bcai::sandbox {
namespace {

constexpr size_t kEntriesMax = 65'536;  // of a table; real files have tens
constexpr size_t kNameMax = 4096;

Error broken(std::string_view what) {
  return error(ErrorCode::kInvalidArgument, "not a readable ELF file: {}", what);
}

// A copy of the T at `offset`, nothing when it does not lie in the file.
template <typename T>
std::optional<T> at(std::span<const uint8_t> file, uint64_t offset) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

std::optional<std::string> text_at(std::span<const uint8_t> file, uint64_t offset) {
  if (offset >= file.size()) return std::nullopt;
  const size_t bound = std::min<size_t>(file.size() - offset, kNameMax);
  const char* start = reinterpret_cast<const char*>(file.data()) + offset;
  const void* end = std::memchr(start, 0, bound);
  if (!end) return std::nullopt;
  return std::string(start, static_cast<const char*>(end));
}

// Where in the file the byte lies that is loaded at `address`.
std::optional<uint64_t> offset_of(std::span<const Elf64_Phdr> segments, uint64_t address) {
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_LOAD || address < segment.p_vaddr) continue;
    const uint64_t into = address - segment.p_vaddr;
    if (into < segment.p_filesz && segment.p_offset <= UINT64_MAX - into) {
      return segment.p_offset + into;
    }
  }
  return std::nullopt;
}

std::vector<std::string> split_path(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(':', start), text.size());
    if (end > start) parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

struct Dynamic {
  std::vector<uint64_t> needed;
  std::optional<uint64_t> rpath, runpath, strings;
};

Dynamic read_dynamic(std::span<const uint8_t> file, const Elf64_Phdr& segment) {
  Dynamic dynamic;
  for (size_t i = 0; i < kEntriesMax; i++) {
    const uint64_t into = i * sizeof(Elf64_Dyn);
    if (into >= segment.p_filesz || segment.p_offset > UINT64_MAX - into) break;
    const auto entry = at<Elf64_Dyn>(file, segment.p_offset + into);
    if (!entry || entry->d_tag == DT_NULL) break;
    if (entry->d_tag == DT_NEEDED) dynamic.needed.push_back(entry->d_un.d_val);
    if (entry->d_tag == DT_RPATH) dynamic.rpath = entry->d_un.d_val;
    if (entry->d_tag == DT_RUNPATH) dynamic.runpath = entry->d_un.d_val;
    if (entry->d_tag == DT_STRTAB) dynamic.strings = entry->d_un.d_ptr;
  }
  return dynamic;
}

}  // namespace

Result<ElfLinks> read_elf(std::span<const uint8_t> file) {
  const auto header = at<Elf64_Ehdr>(file, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return broken("no ELF header");
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB) {
    return broken("not 64-bit little-endian");
  }
  if (header->e_phnum > 0 && header->e_phentsize != sizeof(Elf64_Phdr)) {
    return broken("program headers of an odd size");
  }
  std::vector<Elf64_Phdr> segments;
  for (size_t i = 0; i < header->e_phnum; i++) {
    const uint64_t into = i * sizeof(Elf64_Phdr);
    if (header->e_phoff > UINT64_MAX - into) return broken("program headers outside the file");
    const auto segment = at<Elf64_Phdr>(file, header->e_phoff + into);
    if (!segment) return broken("program headers outside the file");
    segments.push_back(*segment);
  }
  ElfLinks links;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_INTERP) {
      links.interpreter = text_at(file, segment.p_offset).value_or("");
    }
    if (segment.p_type != PT_DYNAMIC) continue;
    const Dynamic dynamic = read_dynamic(file, segment);
    if (!dynamic.strings) continue;
    const auto strings = offset_of(segments, *dynamic.strings);
    if (!strings) return broken("string table outside the file");
    const auto string_at = [&](uint64_t index) -> std::optional<std::string> {
      if (*strings > UINT64_MAX - index) return std::nullopt;
      return text_at(file, *strings + index);
    };
    for (uint64_t index : dynamic.needed) {
      auto text = string_at(index);
      if (!text) return broken("name of a library outside the file");
      links.needed.push_back(*std::move(text));
    }
    const auto path = dynamic.runpath ? dynamic.runpath : dynamic.rpath;
    if (path) links.run_path = split_path(string_at(*path).value_or(""));
  }
  return links;
}

Result<ElfLinks> read_elf_file(const std::filesystem::path& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd || fstat(fd.get(), &info) != 0) return errno_error(errno, "open " + path.string());
  if (info.st_size < static_cast<off_t>(sizeof(Elf64_Ehdr))) {
    return error(ErrorCode::kInvalidArgument, "{} is no ELF file", path.string());
  }
  const auto size = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return errno_error(errno, "map " + path.string());
  auto links = read_elf({static_cast<const uint8_t*>(data), size});
  munmap(data, size);
  if (!links) return Error{links.error().code, path.string() + ": " + links.error().message};
  return links;
}

}  // namespace bcai::sandbox
