# SPDX-License-Identifier: Apache-2.0
"""Runs in a sandbox of the high level, which reaches nothing: from a source distribution to a wheel
in outputs/, by the backend that it names (PEP 517), whose packages are at /opt/environment. Reads
request.json: {"source": file, "ask": whether the backend may want more packages first; it tells
them then and builds nothing}. Ends with 3 when there is no wheel, for a reason of the package's.
"""
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
import zlib
from pathlib import Path

import bcai

FILES_MAX = 50_000
BYTES_MAX = 1_000_000_000
OUTPUT_BYTES = 6_000  # of the backend's that are shown, the last ones
EPOCH = "315532800"   # 1980-01-01, the first that a zip file knows
HOOK = """
import importlib, json, sys
hook, backend, result, argument, *paths = sys.argv[1:]
sys.path[:0] = paths
module, _, attributes = backend.partition(":")
found = importlib.import_module(module)
for attribute in filter(None, attributes.split(".")):
    found = getattr(found, attribute)
if hook == "build_wheel":
    value = found.build_wheel(argument)
else:
    value = getattr(found, hook, lambda: [])()
with open(result, "w") as file:
    json.dump(value, file)
"""


def refuse(text):
    print(text, file=sys.stderr)
    sys.exit(3)


def write(archive, member, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.extractfile(member) as source, open(path, "wb") as target:
        while data := source.read(1 << 20):
            target.write(data)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


def unpack(source):
    """Regular files and directories below one directory, which is returned."""
    count = size = 0
    tops = set()
    with tarfile.open(source, "r:gz") as archive:
        for member in archive:
            count, size = count + 1, size + member.size
            if count > FILES_MAX or size > BYTES_MAX:
                refuse(f"{source} is too large: more than {FILES_MAX} files or {BYTES_MAX} bytes")
            name = member.name.removeprefix("./").rstrip("/")
            if name in ("", "."):
                continue
            if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
                refuse(f"{source} holds a path that leads elsewhere: {member.name!r}")
            if not member.isfile() and not member.isdir():
                refuse(f"{source} holds a link or a special file: {member.name!r}")
            tops.add(name.split("/")[0])
            if member.isdir():
                Path("tree", name).mkdir(parents=True, exist_ok=True)
            else:
                write(archive, member, Path("tree", name))
    if len(tops) != 1:
        refuse(f"{source} is no source distribution: expected one directory, found {len(tops)}")
    return Path("tree", tops.pop()).resolve()


def backend_of(tree):
    """The backend's name and the directories of the tree to look for it in."""
    pyproject = tree / "pyproject.toml"
    system = tomllib.loads(pyproject.read_text()).get("build-system", {}) \
        if pyproject.exists() else {}
    backend = system.get("build-backend", "setuptools.build_meta:__legacy__")
    if not isinstance(backend, str) or not re.fullmatch(r"[\w.]+(:[\w.]+)?", backend):
        refuse(f"pyproject.toml names no backend that could be: {backend!r}")
    paths = [(tree / path).resolve() for path in system.get("backend-path", ())]
    if not all(path.is_relative_to(tree) for path in paths):
        refuse("pyproject.toml has a backend-path that leads elsewhere")
    return backend, [str(path) for path in paths]


def last_line(output):
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")


def call(hook, argument, tree):
    backend, paths = backend_of(tree)
    result, log = Path("/tmp/result.json"), Path("/tmp/output")
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8",
                   "PYTHONPATH": "/opt/environment", "PYTHONDONTWRITEBYTECODE": "1",
                   "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1", "SOURCE_DATE_EPOCH": EPOCH}
    with open(log, "wb") as output:
        ran = subprocess.run(
            [sys.executable, "-P", "-S", "-c", HOOK, hook, backend, str(result), argument, *paths],
            cwd=tree, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, check=False)
    if ran.returncode != 0:
        with open(log, "rb") as output:
            output.seek(max(0, log.stat().st_size - OUTPUT_BYTES))
            text = output.read().decode("utf-8", "replace")
        refuse(f"{last_line(text) or 'it said nothing'}\nThe end of what {backend} said in {hook}, "
               f"which ended with {ran.returncode}:\n{text}")
    return json.loads(result.read_text())


def same_for_same_files(built, wheel):
    """Sorted, not packed, without times: the same files are the same bytes."""
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(wheel, "w") as target:
        for entry in sorted(source.infolist(), key=lambda one: one.filename):
            if entry.is_dir():
                continue
            copy = zipfile.ZipInfo(entry.filename, (1980, 1, 1, 0, 0, 0))
            copy.external_attr = entry.external_attr
            target.writestr(copy, source.read(entry))


def main():
    request = json.loads(Path("request.json").read_text())
    os.umask(0o022)
    try:
        tree = unpack(request["source"])
        if request["ask"]:
            requires = call("get_requires_for_build_wheel", "", tree)
            if requires:
                bcai.output(requires=[str(one) for one in requires])
                return
        directory = Path("wheel").resolve()
        directory.mkdir()
        call("build_wheel", str(directory), tree)
        found = list(directory.glob("*.whl"))
        if len(found) != 1:
            refuse(f"expected one wheel, found {len(found)}")
        same_for_same_files(found[0], Path("outputs", found[0].name))
    except (tarfile.TarError, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error,
            OSError, ValueError, TypeError, AttributeError) as error:
        refuse(str(error))


main()
