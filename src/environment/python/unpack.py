# SPDX-License-Identifier: Apache-2.0
"""Runs in a sandbox: a wheel's files into outputs/, compiled. Executes nothing of the wheel. Reads
request.json: {"wheel", "first", "bytes", "startup_code": whether .pth files may hold code, where no
Python looks at them}: goes on at the file of that number, ends behind `bytes` and says where. Ends
with 3 when the wheel is not to be installed."""
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import bcai

PATH_BYTES_MAX = 900
PTH_BYTES_MAX = 1 << 20


def refuse(text):
    print(text, file=sys.stderr)
    sys.exit(3)


def check_entry(wheel, entry):
    name, mode = entry.filename, entry.external_attr >> 16
    # As it stands in the file: zipfile itself cuts a name at NUL.
    if "\0" in entry.orig_filename or "\\" in name or not name.isprintable():
        refuse(f"{wheel} holds a file of a name that is not allowed: {entry.orig_filename!r}")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        refuse(f"{wheel} holds an absolute path: {name!r}")
    parts = name.removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or len(name.encode()) > PATH_BYTES_MAX:
        refuse(f"{wheel} holds a path that leads elsewhere: {name!r}")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        refuse(f"{wheel} holds a link or a special file: {name!r}")
    if mode & (stat.S_ISUID | stat.S_ISGID):
        refuse(f"{wheel} holds a file that would run as another user (setuid): {name!r}")
    if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        refuse(f"{wheel} holds a file that is encrypted or packed in an unknown way: {name!r}")


def place_of(name):
    """Where a file goes (PEP 427); None: nowhere. Scripts are for a shell: jobs have none."""
    found = re.match(r"[^/]+\.data/([^/]+)/(.+)", name)
    if not found:
        return name
    return found[2] if found[1] in ("purelib", "platlib", "data") else None


def check_pth(wheel, place, data):
    for line in data.decode("utf-8", "replace").splitlines():
        if re.match(r"\ufeff?import[ \t]", line):
            refuse(f"{wheel} is not installed: its file {place} holds code that Python would run "
                   f"at every start ({line[:80].strip()!r})")


def entries_of(wheel, archive):
    entries, places = [], set()
    for entry in archive.infolist():
        check_entry(wheel, entry)
        place = place_of(entry.filename)
        if entry.is_dir() or place is None:
            continue
        if place in places:
            refuse(f"{wheel} holds a file twice: {place!r}")
        places.add(place)
        entries.append((entry, place))
    if not any(re.fullmatch(r"[^/]+\.dist-info/METADATA", place) for place in places):
        refuse(f"{wheel} is no wheel: it has no METADATA")
    return entries


def write(archive, entry, place):
    path = Path("outputs", place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, open(path, "xb") as target:
            left = entry.file_size
            while data := source.read(1 << 20):
                left -= len(data)
                if left < 0:
                    raise zipfile.BadZipFile("a file is longer than it says")
                target.write(data)
    except (FileExistsError, NotADirectoryError):
        refuse(f"{place!r} is a file and a directory")


def compile_sources():
    """By another process, whose hash seed is known: the same source gives the same bytes."""
    subprocess.run(
        [sys.executable, "-S", "-B", "-m", "compileall", "-q", "--invalidation-mode",
         "unchecked-hash", "-s", f"{os.getcwd()}/outputs", "-p", "/opt/environment", "outputs"],
        env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def main():
    request = json.loads(Path("request.json").read_text())
    wheel = request["wheel"]
    written = 0
    try:
        with zipfile.ZipFile(f"/opt/environment/{wheel}") as archive:
            entries = entries_of(wheel, archive)
            at = request["first"]
            while at < len(entries) and written < request["bytes"]:
                entry, place = entries[at]
                if place.endswith(".pth") and not request["startup_code"]:
                    if entry.file_size > PTH_BYTES_MAX:
                        refuse(f"{wheel} holds a file that is too large: {place!r}")
                    check_pth(wheel, place, archive.read(entry))
                write(archive, entry, place)
                written += entry.file_size
                at += 1
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        refuse(f"{wheel} cannot be unpacked: {error}")
    compile_sources()
    bcai.output(next=at if at < len(entries) else None)


main()
