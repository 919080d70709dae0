// SPDX-License-Identifier: Apache-2.0
#include "sandbox/root.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/crypto.h"
#include "base/file.h"
#include "sandbox/libraries.h"
#include "sandbox/spawn.h"
#include "sandbox/tree_copy.h"
#include "sandbox_files.h"

namespace bcai::sandbox {
namespace fs = std::filesystem;

namespace {

// Raised when a root of the same interpreter would be built differently.
constexpr int kFormatVersion = 3;
// What a wheel may ask of the machine (PEP 600, the lists of manylinux), less what draws windows.
const std::vector<std::string> kLibrariesOfWheels = {
    "libstdc++.so.6", "libz.so.1",   "libexpat.so.1",  "libresolv.so.2",
    "libm.so.6",      "librt.so.1",  "libutil.so.1",   "libpthread.so.0",
    "libdl.so.2",     "libnsl.so.1", "libatomic.so.1", "libmvec.so.1"};
constexpr Millis kCompileTimeout{300'000};

std::string short_digest(std::string_view text) { return Sha256::of(text).text().substr(0, 20); }

bool wanted(const fs::path& below) {
  static constexpr std::string_view kLeftOut[] = {"test",
                                                  "idlelib",
                                                  "tkinter",
                                                  "ensurepip",
                                                  "lib2to3",
                                                  "turtledemo",
                                                  "site-packages",
                                                  "dist-packages",
                                                  "turtle.py",
                                                  "sitecustomize.py",
                                                  "EXTERNALLY-MANAGED",
                                                  "LICENSE.txt"};
  const std::string first = below.begin()->string();
  for (std::string_view name : kLeftOut) {
    if (first == name) return false;
  }
  if (first.starts_with("config-")) return false;  // a static library and a Makefile
  const std::string last = below.filename().string();
  if (last.starts_with("_tkinter.")) return false;  // would bring half of X11
  return last != "tests" && !last.ends_with(".opt-1.pyc") && !last.ends_with(".opt-2.pyc");
}

Result<void> link(const fs::path& target, const fs::path& at) {
  if (symlink(target.c_str(), at.c_str()) != 0 && errno != EEXIST) {
    return errno_error(errno, "link " + at.string());
  }
  return {};
}

Result<void> write_etc(const fs::path& etc) {
  BCAI_TRY(make_open_directory(etc));
  const std::pair<const char*, const char*> files[] = {
      {"passwd",
       "root:x:0:0:root:/work:/nonexistent\njob:x:1000:1000:job:/work:/nonexistent\n"
       "nobody:x:65534:65534:nobody:/nonexistent:/nonexistent\n"},
      {"group", "root:x:0:\njob:x:1000:\nnogroup:x:65534:\n"},
      {"hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"},
      {"nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"},
      {"resolv.conf", ""},
  };
  for (const auto& [name, text] : files) BCAI_TRY(write_file(etc / name, text));
  return {};
}

// Imports must not compile: a job cannot write the result, so each would compile anew.
Result<void> compile(const fs::path& program, const fs::path& directory, const fs::path& root) {
  BCAI_TRY_ASSIGN(const Captured ran,
                  run_captured({.arguments = {program, "-I", "-S", "-m", "compileall", "-q", "-s",
                                              root, "-p", "/", directory},
                                .environment = {"LC_ALL=C.UTF-8"}},
                               kCompileTimeout));
  // Some files of the standard library are meant not to compile; the status counts them too.
  (void)ran;
  return {};
}

bool compiled(const fs::path& library) {
  for (const char* module : {"os", "json/decoder", "collections/__init__"}) {
    const fs::path source = library / (std::string(module) + ".py");
    std::error_code failed;
    bool found = false;
    for (fs::directory_iterator it(source.parent_path() / "__pycache__", failed), end;
         !failed && it != end; it.increment(failed)) {
      found |= it->path().filename().string().starts_with(source.stem().string() + ".");
    }
    if (!found) return false;
  }
  return true;
}

Result<void> copy_libraries(const LibrarySet& set, const fs::path& root) {
  // Wherever this machine keeps a library, the loader inside finds it where libc lies: /lib and
  // /lib64 lead into /usr.
  const auto below_usr = [&](const fs::path& path) {
    const std::string text = path.string();
    return root / (text.starts_with("/usr/") ? text.substr(1) : "usr" + text);
  };
  const fs::path directory = below_usr(set.directory);
  BCAI_TRY(make_open_directory(directory));
  for (const auto& [name, file] : set.libraries) BCAI_TRY(copy_plain_file(file, directory / name));
  const fs::path loader = below_usr(set.loader);
  BCAI_TRY(make_open_directory(loader.parent_path()));
  std::error_code ignored;
  if (!fs::exists(loader, ignored)) BCAI_TRY(copy_plain_file(set.loader, loader));
  for (const char* name : {"lib", "lib64"}) {
    BCAI_TRY(make_open_directory(root / "usr" / name));
    BCAI_TRY(link(fs::path("usr") / name, root / name));
  }
  return {};
}

Result<void> build(const Interpreter& interpreter, const fs::path& root) {
  const std::string versioned = "python" + interpreter.short_version();
  const fs::path library = root / "usr/lib" / versioned;
  for (const char* name :
       {"", "usr", "usr/bin", "usr/lib", "proc", "dev", "tmp", "work", "in", "opt", "opt/bcai",
        "opt/environment", "opt/proxy", "opt/venv", "opt/venv/lib"}) {
    BCAI_TRY(make_open_directory(root / name));
  }
  // runc gives a tmpfs the mode of the directory that it covers, whatever the options say.
  if (chmod((root / "tmp").c_str(), 01777) != 0) return errno_error(errno, "chmod /tmp");
  BCAI_TRY(make_open_directory(root / "opt/venv/lib" / versioned));
  BCAI_TRY(make_open_directory(root / "opt/venv/lib" / versioned / "site-packages"));
  BCAI_TRY(copy_plain_file(interpreter.program, root / "usr/bin" / versioned));
  BCAI_TRY(link(versioned, root / "usr/bin/python3"));
  BCAI_TRY(link(versioned, root / "usr/bin/python"));
  BCAI_TRY(link("usr/bin", root / "bin"));
  BCAI_TRY(copy_tree(interpreter.standard_library, library, wanted));
  std::error_code ignored;
  if (!fs::exists(library / "lib-dynload", ignored) && !interpreter.extensions.empty()) {
    BCAI_TRY(copy_tree(interpreter.extensions, library / "lib-dynload", wanted));
  }
  std::vector<fs::path> places = {interpreter.program, library / "lib-dynload"};
  if (!interpreter.site_packages.empty()) places.push_back(interpreter.site_packages);
  BCAI_TRY_ASSIGN(const LibrarySet libraries,
                  find_libraries(places, interpreter.site_packages, kLibrariesOfWheels));
  BCAI_TRY(copy_libraries(libraries, root));
  if (!compiled(library)) BCAI_TRY(compile(interpreter.program, library, root));
  return write_etc(root / "etc");
}

std::string marks_of(const LibrarySet& set) {
  std::string marks = mark_of(set.loader);
  for (const auto& [name, file] : set.libraries) marks += mark_of(file);
  return marks;
}

Result<void> build_native(const fs::path& program, const LibrarySet& libraries,
                          const fs::path& root) {
  for (const char* name : {"", "usr", "usr/bin", "usr/lib", "proc", "dev", "tmp", "work", "in"}) {
    BCAI_TRY(make_open_directory(root / name));
  }
  if (chmod((root / "tmp").c_str(), 01777) != 0) return errno_error(errno, "chmod /tmp");
  BCAI_TRY(copy_plain_file(program, root.string() + kNativeProgram));
  BCAI_TRY(copy_libraries(libraries, root));
  return write_etc(root / "etc");
}

// Makes `directory` whole by `fill`, or finds it.
template <typename Fill>
Result<void> build_once(const fs::path& directory, const Fill& fill) {
  std::error_code failed;
  if (fs::exists(directory, failed)) return {};
  const fs::path temporary = directory.string() + ".new";
  fs::remove_all(temporary, failed);
  BCAI_TRY(make_open_directory(directory.parent_path()));
  if (auto filled = fill(temporary); !filled) {
    fs::remove_all(temporary, failed);
    return filled;
  }
  if (rename(temporary.c_str(), directory.c_str()) != 0) {
    return errno_error(errno, "rename to " + directory.string());
  }
  return {};
}

// The runner and the `bcai` package, as they are in this program.
Result<fs::path> prepare_runner(const fs::path& roots, const Interpreter& interpreter) {
  std::string all = interpreter.version;
  for (std::string_view name : sandbox_files_names()) {
    all += fmt::format("{} {}\n", name, Sha256::of(sandbox_files(name)).text());
  }
  const fs::path directory = roots / ("runner_" + short_digest(all));
  const auto fill = [&](const fs::path& temporary) -> Result<void> {
    BCAI_TRY(make_open_directory(temporary));
    for (std::string_view name : sandbox_files_names()) {
      constexpr std::string_view kPrefix = "python/";
      if (!name.starts_with(kPrefix)) continue;
      const fs::path file = temporary / name.substr(kPrefix.size());
      BCAI_TRY(make_open_directory(file.parent_path()));
      BCAI_TRY(write_file(file, sandbox_files(name)));
    }
    // Executed as process 1 of a zygote's child.
    if (chmod((temporary / "first").c_str(), 0755) != 0) return errno_error(errno, "chmod first");
    return compile(interpreter.program, temporary, temporary);
  };
  BCAI_TRY(build_once(directory, fill));
  return directory;
}

// What an earlier start learnt of `python`, if nothing has changed since.
Result<Interpreter> recall(const fs::path& note, const std::string& python) {
  BCAI_TRY_ASSIGN(const std::string text, read_file(note));
  BCAI_TRY_ASSIGN(const json::value value, parse_json(text));
  const json::object* object = value.if_object();
  const json::value* described = object ? object->if_contains("interpreter") : nullptr;
  const json::value* marks = object ? object->if_contains("marks") : nullptr;
  if (!described || !marks || !marks->is_string()) {
    return error(ErrorCode::kDataLoss, "{} lacks members", note.string());
  }
  BCAI_TRY_ASSIGN(Interpreter interpreter, decode_interpreter(*described));
  if (to_std(marks->get_string()) != marks_of(python, interpreter)) {
    return error(ErrorCode::kNotFound, "{} has changed", python);
  }
  return interpreter;
}

constexpr std::string_view kNativePrefix = "native_";

void remove_other_native_roots(const fs::path& roots, const fs::path& kept) {
  std::error_code failed;
  std::vector<fs::path> others;
  for (fs::directory_iterator it(roots, failed), end; !failed && it != end; it.increment(failed)) {
    const fs::path& path = it->path();
    if (path.filename().string().starts_with(kNativePrefix) && path != kept) others.push_back(path);
  }
  for (const fs::path& path : others) remove_tree(path);
}

}  // namespace

std::string Root::site_packages_inside() const {
  return "/opt/venv/lib/python" + interpreter.short_version() + "/site-packages";
}

Result<Root> prepare_root(const fs::path& state, const std::string& python) {
  const fs::path roots = state / "roots";
  BCAI_TRY(make_open_directory(roots));
  BCAI_TRY_ASSIGN(const std::string program, find_program(python));
  const fs::path note = roots / ("interpreter_" + short_digest(program) + ".json");
  Root root;
  if (auto known = recall(note, program)) {
    root.interpreter = *std::move(known);
  } else {
    BCAI_TRY_ASSIGN(root.interpreter, query_interpreter(program));
  }
  const std::string marks = marks_of(program, root.interpreter);
  // What site-packages ask for may be missing (a GPU driver's library); the interpreter's may not.
  BCAI_TRY_ASSIGN(const LibrarySet own, find_libraries({root.interpreter.program}, {}));
  BCAI_TRY(check_complete(own));
  root.tree = roots / ("root_" +
                       short_digest(fmt::format("{} {}{}", kFormatVersion, marks, marks_of(own))));
  BCAI_TRY(build_once(
      root.tree, [&](const fs::path& temporary) { return build(root.interpreter, temporary); }));
  BCAI_TRY_ASSIGN(root.runner, prepare_runner(roots, root.interpreter));
  BCAI_TRY(write_file(
      note, to_text(json::object{{"interpreter", encode(root.interpreter)}, {"marks", marks}})));
  return root;
}

Result<Root> prepare_native_root(const fs::path& state, const fs::path& program) {
  const fs::path roots = state / "roots";
  BCAI_TRY(make_open_directory(roots));
  // $ORIGIN is where the file lies, not the link that led to it ("/proc/self/exe").
  std::error_code failed;
  const fs::path file = fs::canonical(program, failed);
  if (failed) return errno_error(failed.value(), "find " + program.string());
  BCAI_TRY_ASSIGN(const LibrarySet libraries, find_libraries({file}, {}));
  BCAI_TRY(check_complete(libraries));
  const std::string marks =
      fmt::format("{} {}{}", kFormatVersion, mark_of(file), marks_of(libraries));
  Root root;
  root.tree = roots / (std::string(kNativePrefix) + short_digest(marks));
  remove_other_native_roots(roots, root.tree);
  BCAI_TRY(build_once(root.tree, [&](const fs::path& temporary) {
    return build_native(file, libraries, temporary);
  }));
  return root;
}

}  // namespace bcai::sandbox
