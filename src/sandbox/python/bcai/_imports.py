# SPDX-License-Identifier: Apache-2.0
"""First on sys.meta_path: refuses what the import policy refuses, and changes three modules as they
are imported (tqdm bars report progress, linecache knows the job's source, spawned processes find
it). The policy gives clear errors and a chance to ask; it is no border, the sandbox is.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

import sys
from _json import make_scanner
from posix import O_CLOEXEC, O_RDONLY, close, open, read, stat

from bcai import _control


class ImportPolicyError(ImportError):
    def __reduce__(self):
        return ImportError, self.args


ImportPolicyError.__module__ = "builtins"  # shown without a module's name before it


class _Scanner:
    """What the C scanner of the json module asks for; the module itself is slow to import."""
    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float
    memo = {}


parse_json = make_scanner(_Scanner)  # (text, 0) -> (value, its end)


class Policy:
    """imports.json, which lies beside the runner, and the names the job asked for."""

    def __init__(self):
        path = __file__.rpartition("/")[0].rpartition("/")[0] + "/imports.json"
        policy = parse_json(read_file(path).decode(), 0)[0]
        self._denied = set(policy["denied"])
        self._packages = set(policy["packages"])
        self._asked = frozenset()

    def allow(self, names):
        self._asked = frozenset(names)

    def refused(self, name):
        """The name to ask for, or None when the import is allowed."""
        parts = name.split(".")
        prefixes = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
        if any(prefix in self._asked for prefix in prefixes):
            return None
        for prefix in prefixes:
            if prefix in self._denied:
                return prefix
        if parts[0] in sys.stdlib_module_names or parts[0] in self._packages:
            return None
        return parts[0]

    def refused_among(self, modules):
        """Those that refused() has a name for, or whose package it has one for."""
        tops = {name.partition(".")[0] for name in modules}
        return {name for name in self._denied | tops if name in modules and self.refused(name)}


class Finder:
    def __init__(self, policy, main, filename, work_directory, patches, preloaded):
        self._policy = policy            # None: everything may be imported
        self._main = main                # variables of __main__
        self._filename = filename
        self._work_directory = work_directory
        self._patches = patches          # module name -> function(module)
        self._preloaded = preloaded      # of a zygote's child

    def find_spec(self, name, path=None, target=None):
        if self._policy is not None:
            refused = self._policy.refused(name)
            if refused and self._is_own_import() and not self._is_own_module(name):
                raise ImportPolicyError(
                    f"import of '{refused}' is not allowed by the import policy; "
                    f"ask for it with --allow-import {refused}", name=name)
        if self._preloaded is not None:
            spec = self._preloaded.find_spec(name)
            if spec is not None:
                return spec
        patch = self._patches.pop(name, None)
        return None if patch is None else self._patched(name, path, target, patch)

    def _is_own_import(self):
        """Whether the job's code itself says `import` or calls importlib.import_module. A library
        that it calls may import what it likes, in Python or in C with the job's frame on top."""
        frame = sys._getframe(1)
        asked_importlib = False
        while frame is not None:
            file = frame.f_code.co_filename
            if file.endswith("/importlib/__init__.py"):
                asked_importlib = True
            elif not file.startswith("<frozen importlib"):
                break
            frame = frame.f_back
        if frame is None or not (frame.f_globals is self._main or file == self._filename
                                 or file.startswith(self._work_directory)):
            return False
        if asked_importlib:
            return True
        import opcode
        code = frame.f_code.co_code
        return (0 <= frame.f_lasti < len(code)
                and code[frame.f_lasti] == opcode.opmap["IMPORT_NAME"])

    def _is_own_module(self, name):
        base = self._work_directory + name.partition(".")[0]
        for candidate in (base + ".py", base):
            try:
                stat(candidate)
                return True
            except OSError:
                pass
        return False

    def _patched(self, name, path, target, patch):
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find and finder is not self else None
            if spec is None:
                continue
            try:
                _patch_after_exec(spec.loader, patch)
            except (AttributeError, TypeError):
                pass  # a loader that cannot be changed: the module goes without
            return spec
        return None


def _patch_after_exec(loader, patch):
    exec_module = loader.exec_module

    def exec_and_patch(module):
        del loader.exec_module
        exec_module(module)
        try:
            patch(module)
        except Exception:
            pass  # another version of the library: it works as it is

    _hide(exec_and_patch)
    loader.exec_module = exec_and_patch


def _hide(function):
    # Frames of this file are then cut from tracebacks by Python itself, as those of importlib are.
    function.__code__ = function.__code__.replace(co_filename="<frozen importlib._bootstrap>")


_hide(Finder.find_spec)
_hide(Finder._patched)


def patch_tqdm(module):
    bar = module.tqdm
    display = bar.display

    def display_and_report(self, *args, **options):
        shown = display(self, *args, **options)
        try:
            if not getattr(self, "pos", 0):  # the outermost bar; -0 too
                _report_bar(self)
        except Exception:
            pass
        return shown

    bar.display = display_and_report


def _report_bar(bar):
    count, total = bar.n, bar.total
    label = (bar.desc or "").rstrip(": ")
    if total:
        _control.bar(min(max(count / total, 0.0), 1.0), f"{label} {count}/{total}".strip())
    else:
        _control.bar(None, f"{label} {count} {bar.unit}".strip())


def patch_linecache(lines, names):
    def patch(module):
        for name in names:
            module.cache[name] = (sum(map(len, lines)), None, lines, name)
    return patch


def patch_spawn(path, code, kept):
    # A spawned process imports the main module again, by path: the job's file, unless the job
    # changed it, for then the two processes would not run the same code.
    def patch(module):
        prepare = module.get_preparation_data

        def get_preparation_data(name):
            data = prepare(name)
            if "init_main_from_path" in data:
                data["init_main_from_path"] = path if _holds(path, code) else kept
            return data

        module.get_preparation_data = get_preparation_data
    return patch


def read_file(path):
    fd = open(path, O_RDONLY | O_CLOEXEC)
    parts = []
    while part := read(fd, 1 << 16):
        parts.append(part)
    close(fd)
    return b"".join(parts)


def _holds(path, data):
    try:
        fd = open(path, O_RDONLY | O_CLOEXEC)
    except OSError:
        return False
    try:
        return read(fd, len(data) + 1) == data
    finally:
        close(fd)
