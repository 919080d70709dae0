# SPDX-License-Identifier: Apache-2.0
"""Runs in a sandbox: fetches a source distribution into outputs/ and reads what it is built with.
Executes nothing of it. Reads request.json: {"index_url", "name", "file", "sha256", "bytes": 0 when
it is not known, "bytes_max"}. Ends as package_index does."""
import json
import tarfile
import tomllib
import zlib
from pathlib import Path

import bcai
from package_index import PackageIndex, fail

PYPROJECT_BYTES_MAX = 1 << 20
DEFAULT = ["setuptools>=40.8.0"]  # PEP 517


def pyproject_of(path):
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            parts = member.name.removeprefix("./").split("/")
            if member.isfile() and len(parts) == 2 and parts[1] == "pyproject.toml":
                if member.size > PYPROJECT_BYTES_MAX:
                    fail(3, f"{path.name} holds a pyproject.toml that is too large")
                return archive.extractfile(member).read().decode()
    return ""


def requires_of(path):
    """build-system.requires (PEP 518)."""
    try:
        system = tomllib.loads(pyproject_of(path)).get("build-system")
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        fail(3, f"{path.name} cannot be read: {error}")
    if system is None:
        return DEFAULT
    requires = system.get("requires") if isinstance(system, dict) else None
    if not isinstance(requires, list) or not all(isinstance(one, str) for one in requires):
        fail(3, f"{path.name}: pyproject.toml has no list build-system.requires (PEP 518)")
    return requires


def main():
    request = json.loads(Path("request.json").read_text())
    size = PackageIndex(request["index_url"]).fetch(
        request["name"], request["file"], request["sha256"], request["bytes"], request["bytes_max"])
    bcai.output(bytes=size, requires=requires_of(Path("outputs", request["file"])))


main()
