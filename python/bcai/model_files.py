# SPDX-License-Identifier: Apache-2.0
"""Which files a model's address means."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from bcai.errors import InvalidArgument, NotFound, PermissionDenied, Unimplemented

SUFFIXES = (".bcvm", ".bcasm", ".onnx")
# What is fetched of a repository: nothing that holds code or another framework's weights.
DOWNLOADED = ["*.json", "*.safetensors", "*.txt", "*/config.json"]

_JSON_BYTES_MAX = 64 << 20
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")


class ModelDirectory:
    """A model's directory, whose files are read only inside it, wherever links lead.

    In the cache of Hugging Face's library, ``models--*/snapshots/*``, that is inside ``models--*``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        model = self._path.parent.parent
        is_cached = self._path.parent.name == "snapshots" and model.name.startswith("models--")
        self._root = model if is_cached else self._path

    def contains(self, name: str) -> bool:
        """Whether there is something of that name, wherever it leads."""
        return os.path.lexists(self._path / name)

    def find(self, name: str) -> Path:
        """The regular file of that name, every link followed.

        Raises PermissionDenied when the name or a link leads out, NotFound when there is none.
        """
        at = self._path / name
        if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise PermissionDenied(f"{name!r} is not a name inside {self._path}")
        try:
            file = at.resolve(strict=True)
        except (OSError, RuntimeError):  # what leads to itself is a RuntimeError
            raise NotFound(f"there is no {at}") from None
        if not file.is_relative_to(self._root):
            raise PermissionDenied(f"{at} leads out of {self._root}")
        if not file.is_file():
            raise InvalidArgument(f"{at} is no regular file")
        return file

    def read_json(self, name: str, kind: type = dict) -> Any:
        """What :meth:`find` finds, parsed; InvalidArgument unless it is JSON of that kind."""
        file, at = self.find(name), self._path / name
        if file.stat().st_size > _JSON_BYTES_MAX:
            raise InvalidArgument(f"{at} has more than {_JSON_BYTES_MAX} bytes")
        try:
            value = json.loads(file.read_bytes())
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(f"{at}: {error}") from None
        if not isinstance(value, kind):
            raise InvalidArgument(f"{at}: expected a JSON {kind.__name__}")
        return value


def find_model(address: str | os.PathLike[str], download: bool = False) -> Path:
    """The file or directory of ``address``, which exists.

    ``onnx://PATH``, ``file://PATH`` and a plain path are files and directories of this machine;
    ``huggingface://NAME`` and ``huggingface://ORGANISATION/NAME`` are looked up in the local store
    (:func:`find_huggingface`).
    """
    text = os.fspath(address)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "file", text
    if scheme == "huggingface":
        return find_huggingface(rest, download)
    if scheme not in ("file", "onnx"):
        raise Unimplemented(
            f"{text}: expected onnx://PATH, file://PATH, huggingface://NAME or a path"
        )
    path = Path(rest).expanduser()
    if not path.exists():
        raise NotFound(f"{text}: there is no {path}")
    if scheme == "onnx" and path.suffix != ".onnx":
        raise InvalidArgument(f"{text}: expected a file that ends with .onnx")
    return path


def is_huggingface(path: Path) -> bool:
    """Whether ``path`` is a directory in Hugging Face's layout, and not one that was saved here."""
    if not (path / "config.json").is_file():
        return False
    return not any(each.suffix in (".bcvm", ".bcasm") for each in path.iterdir())


def program_file(path: Path) -> Path:
    """The program or ONNX file that ``path`` is, or that is alone in the directory ``path``."""
    if not path.is_dir():
        if path.suffix not in SUFFIXES:
            raise InvalidArgument(f"{path}: expected {', '.join(SUFFIXES)} or a directory")
        return path
    found = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)
    if len(found) != 1:
        names = ", ".join(each.name for each in found) or "none"
        raise InvalidArgument(
            f"{path}: expected config.json with safetensors, or one file of "
            f"{', '.join(SUFFIXES)}; found {names}"
        )
    return found[0]


def weight_files(program: Path) -> list[Path]:
    """The weight files that :meth:`bcai.Model.save` writes beside a program."""
    one = program.with_suffix(".safetensors")
    numbered = program.parent.glob(f"{_escaped(program.stem)}-*.safetensors")
    return [*([one] if one.exists() else []), *sorted(numbered)]


def find_huggingface(name: str, download: bool = False) -> Path:
    """The directory of a Hugging Face model on this machine.

    ``$BCAI_MODELS/NAME`` comes first, then the cache that Hugging Face's own library fills:
    ``$HF_HUB_CACHE``, ``$HF_HOME/hub`` or ``~/.cache/huggingface/hub``. ``NAME@REVISION`` is one
    revision. With ``download``, what is not there is fetched from the network by huggingface_hub.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise InvalidArgument(
            f"huggingface://{name}: expected NAME or ORGANISATION/NAME, perhaps @REVISION"
        )
    repository, _, revision = name.partition("@")
    looked = []
    if models := os.environ.get("BCAI_MODELS"):
        directory = Path(models) / repository
        if (directory / "config.json").exists() and not revision:
            return directory
        looked.append(str(directory))
    cached = _cache() / f"models--{repository.replace('/', '--')}"
    if (snapshot := _snapshot(cached, revision)) is not None:
        return snapshot
    looked.append(str(cached))
    if download:
        return _downloaded(repository, revision)
    raise NotFound(
        f"huggingface://{name} is not on this machine (looked for {' and '.join(looked)}): "
        "load it with download=True, or put its files there"
    )


def _cache() -> Path:
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    home = os.environ.get("HF_HOME")
    return Path(home or Path.home() / ".cache" / "huggingface") / "hub"


def _snapshot(cached: Path, revision: str) -> Path | None:
    reference = cached / "refs" / (revision or "main")
    commit = reference.read_text().strip() if reference.is_file() else revision
    snapshots = cached / "snapshots"
    if commit:
        chosen = snapshots / commit
        return chosen if (chosen / "config.json").exists() else None
    found = sorted(each.parent for each in snapshots.glob("*/config.json"))
    return found[0] if len(found) == 1 else None


def _downloaded(repository: str, revision: str) -> Path:
    try:
        import huggingface_hub
    except ImportError:
        raise ImportError(
            "download=True needs huggingface_hub: pip install huggingface_hub"
        ) from None
    return Path(
        huggingface_hub.snapshot_download(
            repository, revision=revision or None, allow_patterns=DOWNLOADED
        )
    )


def _escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)
