# SPDX-License-Identifier: Apache-2.0
"""A job as it is being made: the specification and the files, before anything is sent."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from bcai.errors import Finding, InvalidArgument
from bcai.ids import is_job_id, make_job_id

J = TypeVar("J")

Source = str | os.PathLike[str] | bytes
Files = Iterable[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str] | bytes]


class SecurityLevel(StrEnum):
    """What stands between a job's code and the machine that runs it."""

    STANDARD = "standard"
    HIGH = "high"


@dataclass(frozen=True)
class LocalFile:
    """A file to be put into the job's working directory as ``path``."""

    path: str
    source: Path | bytes

    def open(self) -> io.BufferedReader | io.BytesIO:
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source)
        return self.source.open("rb")


@dataclass(frozen=True)
class JobDraft:
    """What ``submit`` sends: ``spec`` holds only what the caller gave."""

    id: str
    spec: Mapping[str, Any]
    files: tuple[LocalFile, ...]


class JobMaker(Generic[J]):
    """What makes jobs: the part that both clients share."""

    def _job_of(self, draft: JobDraft) -> J:
        raise NotImplementedError

    def create_job(
        self,
        code: str | os.PathLike[str] | None = None,
        requirements: Iterable[str] = (),
        hardware: Mapping[str, Any] | None = None,
        timeout: int | None = None,
        max_retries: int | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        program: Source | None = None,
        inputs: Mapping[str, Any] | None = None,
        weights: Iterable[Source] = (),
        replicas: int | None = None,
        name: str | None = None,
        arguments: Iterable[object] = (),
        files: Files | None = None,
        environment: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        build_from_source: Iterable[str] = (),
        environment_lock: Mapping[str, Any] | None = None,
        python_version: str | None = None,
        network: Mapping[str, Any] | None = None,
        security_level: SecurityLevel | Literal["standard", "high"] | None = None,
        allow_imports: Iterable[str] = (),
        import_policy: Literal["standard", "off"] | None = None,
        queue_timeout: int | None = None,
        cpu_seconds_max: int | None = None,
        processes_max: int | None = None,
        output_bytes_max: int | str | None = None,
        id: str | None = None,
    ) -> J:
        """Makes a job. Nothing is sent before its ``execute()``.

        Give either ``code``, Python source, or ``path``, a file of it, or ``program``, a native
        program in binary form as a path or bytes. A program takes ``inputs`` by the names of its
        arguments, each a numpy array, anything with ``__array__``, or the path of a ``.npy`` file;
        ``weights`` are the safetensors files that it names by digest; ``replicas`` nodes run it at
        the same time and their answers are compared. ``hardware`` holds
        ``cpu_cores``, ``memory``, ``disk``, ``gpu_count``, ``gpu_memory``, ``gpu_model``, sizes as
        bytes or as ``"8GB"``. ``requirements`` are Python packages as PEP 508 writes them, added to
        what the node has; those named in ``build_from_source`` are built from their source
        distributions, on a node of the high security level. ``environment_lock``, in their place,
        is ``result.environment_lock`` of an earlier job and gives the same packages to the byte.
        ``network`` names the hosts that the job reaches, ``{"allow": ["pypi.org:443"]}``; without
        it, none. ``secrets`` are names of values that ``set_secret`` stored: variables of the job's
        process. ``security_level`` is
        ``SecurityLevel.HIGH`` for a job that shall have a kernel of its own, on a node that offers
        it, or not run. ``timeout`` is the wall-clock limit of one attempt and ``queue_timeout`` of
        the wait before the first, in seconds. ``max_retries`` counts retries of attempts that
        failed through no fault of the job. ``files`` are put into the job's working directory:
        paths, or a mapping of names to paths or bytes. ``allow_imports`` adds modules to those that
        the import policy allows. ``id`` makes this the same job as one submitted before. What is
        not given takes the network's default.

        Raises TypeError, OSError or InvalidArgument for what is wrong before anything is sent.
        """
        draft = _draft(
            code,
            path=path,
            program=program,
            inputs=inputs,
            weights=weights,
            replicas=replicas,
            files=files,
            id=id,
            requirements=requirements,
            secrets=secrets,
            build_from_source=build_from_source,
            arguments=arguments,
            allow_imports=allow_imports,
            hardware=dict(hardware) if hardware is not None else None,
            timeout=timeout,
            max_retries=max_retries,
            name=name,
            environment=dict(environment) if environment is not None else None,
            environment_lock=dict(environment_lock) if environment_lock is not None else None,
            python_version=python_version,
            network=dict(network) if network is not None else None,
            security_level=str(security_level) if security_level is not None else None,
            import_policy=import_policy,
            queue_timeout=queue_timeout,
            cpu_seconds_max=cpu_seconds_max,
            processes_max=processes_max,
            output_bytes_max=output_bytes_max,
        )
        return self._job_of(draft)


def _draft(
    code: str | os.PathLike[str] | None,
    *,
    path: str | os.PathLike[str] | None,
    program: Source | None,
    inputs: Mapping[str, Any] | None,
    weights: Iterable[Source],
    files: Files | None,
    id: str | None,
    allow_imports: Iterable[str],
    arguments: Iterable[object],
    requirements: Iterable[str],
    secrets: Iterable[str],
    build_from_source: Iterable[str],
    **members: Any,
) -> JobDraft:
    """Raises InvalidArgument for what can be told without the network; the rest is told by it."""
    if code is not None and not isinstance(code, str):
        code, path = None, path or code
    if [code, path, program].count(None) != 2:
        raise TypeError("create_job: expected one of code, path and program")
    if program is None and (inputs is not None or members["replicas"] is not None):
        raise TypeError("create_job: inputs and replicas are for a native program")
    if id is not None and not is_job_id(id):
        raise InvalidArgument(
            f"create_job: id {id!r} is not 'job_' and 26 lower-case base32 characters"
        )
    spec: dict[str, Any] = {}
    native: list[LocalFile] = []
    if program is not None:
        spec["program"], spec["inputs"], native = _native(program, inputs or {}, weights)
    elif code is not None:
        spec["code"] = code
    else:
        assert path is not None
        spec["code"] = _read_source(Path(path))
        spec["filename"] = Path(path).name
    lists = {
        "arguments": [str(item) for item in arguments],
        "requirements": _texts("requirements", requirements),
        "build_from_source": _texts("build_from_source", build_from_source),
        "secrets": _texts("secrets", secrets),
        "allowed_imports": _texts("allow_imports", allow_imports),
    }
    spec |= {name: items for name, items in lists.items() if items}
    spec |= {name: value for name, value in members.items() if value is not None}
    sent = (*native, *(file for file in _local_files(files) if not _is_code(file, spec)))
    return JobDraft(id or make_job_id(), spec, sent)


def _native(
    program: Source, inputs: Mapping[str, Any], weights: Iterable[Source]
) -> tuple[str, dict[str, str], list[LocalFile]]:
    """The program's path in the job, the path of each input, and all the files."""
    if isinstance(weights, (str, bytes, os.PathLike)):
        raise TypeError("create_job: weights is a list of files")
    stem = "program" if isinstance(program, bytes) else Path(program).stem
    files = [LocalFile(f"{stem}.bcvm", _source(program))]
    paths: dict[str, str] = {}
    for name, value in inputs.items():
        paths[name] = f"inputs/{name}.npy"
        source = _source(value) if isinstance(value, (str, bytes, os.PathLike)) else _npy(value)
        files.append(LocalFile(paths[name], source))
    for index, file in enumerate(weights):
        files.append(LocalFile(f"weights/{index}.safetensors", _source(file)))
    return f"{stem}.bcvm", paths, files


def _source(source: Source) -> Path | bytes:
    if isinstance(source, bytes):
        return source
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"create_job: {path} is no file")
    return path


def _npy(value: Any) -> bytes:
    """The array as a NumPy file. Raises ImportError without numpy."""
    try:
        import numpy
    except ImportError:
        raise ImportError("create_job: inputs need numpy: pip install 'bcai[numpy]'") from None
    file = io.BytesIO()
    # Not ascontiguousarray, which gives an array without dimensions one.
    numpy.save(file, numpy.asarray(value, order="C"), allow_pickle=False)
    return file.getvalue()


def _is_code(file: LocalFile, spec: dict[str, Any]) -> bool:
    """A list or directory of files may hold the program too, which travels by itself."""
    if "code" not in spec or file.path != spec.get("filename"):
        return False
    with file.open() as data:
        return bool(data.read() == spec["code"].encode("utf-8"))


def _texts(name: str, items: Iterable[str]) -> list[str]:
    if isinstance(items, str):
        raise TypeError(f"create_job: {name} is a list of texts, not one text")
    return list(items)


def _read_source(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        finding = Finding("/code", f"byte 0x{data[error.start]:02x} is not UTF-8", line, column)
        raise InvalidArgument(f"{path} is not UTF-8", findings=[finding]) from None


def _local_files(files: Files | None) -> list[LocalFile]:
    if files is None:
        return []
    if isinstance(files, (str, bytes)):
        raise TypeError("create_job: files is a list of paths or a mapping of names to paths")
    found: list[LocalFile] = []
    if isinstance(files, Mapping):
        for name, source in files.items():
            if isinstance(source, bytes):
                found.append(LocalFile(name, source))
            else:
                found += _tree(name, Path(source))
    else:
        for item in files:
            found += _tree(Path(item).name, Path(item))
    return found


def _tree(name: str, source: Path) -> list[LocalFile]:
    """The file itself, or all that lie in a directory, in order of name."""
    if not source.is_dir():
        if not source.is_file():
            raise FileNotFoundError(f"create_job: {source} is no file")
        return [LocalFile(name, source)]
    inner = sorted(item for item in source.rglob("*") if item.is_file())
    return [LocalFile(f"{name}/{item.relative_to(source).as_posix()}", item) for item in inner]
