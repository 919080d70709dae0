# SPDX-License-Identifier: Apache-2.0
"""Where the network is and which key opens it.

Each of endpoint and key is taken from the first that has it: the caller, the environment
(``BCAI_ENDPOINT``, ``BCAI_API_KEY``), the file that ``bcai config`` writes. The file's key is only
ever sent to the file's endpoint. Without an endpoint the network is a private one on this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bcai.errors import FailedPrecondition, InvalidArgument

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_KEYS = frozenset({"endpoint", "api_key", "ca_file", "python"})


@dataclass(frozen=True)
class Target:
    """``endpoint`` is ``http://host:port``, ``https://…`` or ``unix:/path``."""

    endpoint: str
    api_key: str | None = field(default=None, repr=False)
    ca_file: str | None = None


def resolve(
    endpoint: str | None,
    api_key: str | None,
    ca_file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Target | None:
    """``None`` stands for the private network on this machine."""
    file = read_config(config_path(environment))
    chosen = endpoint or environment.get("BCAI_ENDPOINT") or file.get("endpoint")
    if not chosen:
        return None
    chosen = check_endpoint(chosen)
    same = chosen == file.get("endpoint", "").rstrip("/")
    key = api_key or environment.get("BCAI_API_KEY") or (file.get("api_key") if same else None)
    ca = ca_file or environment.get("BCAI_CA_FILE") or (file.get("ca_file") if same else None)
    return Target(chosen, key or None, ca or None)


def refuse_open(target: Target | None) -> None:
    """Raises FailedPrecondition when others could read on the way what is sent there."""
    if target is None or not target.endpoint.startswith("http://"):
        return
    host = target.endpoint.removeprefix("http://").split("/", 1)[0]
    if host.rpartition(":")[0] in _LOOPBACK or host in _LOOPBACK:
        return
    raise FailedPrecondition(
        f"{target.endpoint} is not encrypted: a secret goes over https:// or to this machine alone"
    )


def check_endpoint(endpoint: str) -> str:
    for scheme in ("http://", "https://", "unix:/"):
        if endpoint.startswith(scheme) and len(endpoint) > len(scheme):
            return endpoint.rstrip("/")
    raise InvalidArgument(
        f"endpoint {endpoint!r}: expected http://HOST:PORT, https://HOST or unix:/PATH"
    )


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    base = environment.get("XDG_CONFIG_HOME")
    home = environment.get("HOME") or str(Path.home())
    return (Path(base) if base else Path(home, ".config")) / "bcai" / "config.yaml"


def read_config(path: Path) -> dict[str, str]:
    """The file's members; empty when there is no file.

    It is the flat subset of YAML that ``bcai config`` writes: ``key: value`` lines and comments.
    Raises InvalidArgument for anything else, with the line.
    """
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    members: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#") or content == "---":
            continue
        key, colon, value = content.partition(":")
        if not colon or line[0].isspace() or (value and not value[0].isspace()):
            raise InvalidArgument(f"{path}:{number}: expected 'key: value', found {content[:40]!r}")
        if key in _KEYS:
            members[key] = _scalar(value.strip(), f"{path}:{number}")
    return members


def _scalar(text: str, where: str) -> str:
    if text.startswith('"'):  # as JSON quotes it, and so does `bcai config`
        try:
            value, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            raise InvalidArgument(f"{where}: a quoted text without its end") from None
        return _alone(str(value), text[end:], where)
    if text.startswith("'"):
        end = text.find("'", 1)
        if end < 0:
            raise InvalidArgument(f"{where}: a quoted text without its end")
        return _alone(text[1:end], text[end + 1 :], where)
    text = text.split(" #")[0].rstrip()
    return "" if text in ("null", "~") else text


def _alone(value: str, rest: str, where: str) -> str:
    if rest.strip() and not rest.strip().startswith("#"):
        raise InvalidArgument(f"{where}: expected nothing after the quoted text, found {rest!r}")
    return value


def local_python(environment: Mapping[str, str] = os.environ) -> str:
    """The interpreter whose packages jobs on this machine see: the configured one, or this."""
    configured = read_config(config_path(environment)).get("python")
    return environment.get("BCAI_PYTHON") or configured or sys.executable


def find_program(environment: Mapping[str, str] = os.environ) -> str:
    """The ``bcai`` program: ``BCAI_PROGRAM``, beside this Python, or on the PATH."""
    chosen = environment.get("BCAI_PROGRAM")
    if chosen:
        return chosen
    for directory in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        if found := shutil.which("bcai", path=directory):
            return found
    if found := shutil.which("bcai", path=environment.get("PATH")):
        return found
    raise FailedPrecondition(
        "no endpoint is configured and the 'bcai' program, which would run jobs on this machine, "
        "is not installed: give SDK(endpoint=…), set BCAI_ENDPOINT, or set BCAI_PROGRAM"
    )
