# SPDX-License-Identifier: Apache-2.0
"""Every conversation with the network, as flows (see ``bcai.wire``)."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bcai.errors import DataLoss, DeadlineExceeded, FailedPrecondition, InternalError, JobFailed
from bcai.records import ArtifactInfo, JobEvent, JobRecord, Node, ResultRecord, Secret
from bcai.spec import JobDraft, LocalFile
from bcai.wire import Flow, Request, Response, Retry, exchange, fetch, problem_of

_JSON = {"Content-Type": "application/json"}
_PIECE_BYTES = 8 << 20
_LOG_PAGE_BYTES = 1 << 20
_WAIT_S = 20.0
# A job goes on while its coordinator is away, so whoever waits for one is patient.
_WAIT_PATIENCE_S = 300.0
_LOG_TAIL_LINES = 20


def submit(draft: JobDraft, retry: Retry) -> Flow[JobRecord]:
    """Uploads what is missing of the files, then submits. Harmless when done twice."""
    files = []
    for file in draft.files:
        sha256, size = yield from _upload(file, retry)
        files.append({"path": file.path, "sha256": sha256, "bytes": size})
    body: dict[str, Any] = {**draft.spec, "id": draft.id}
    if files:
        body["files"] = files
    request = Request("POST", "/v1/jobs", headers=_JSON, body=json.dumps(body).encode())
    return JobRecord.from_json((yield from fetch(request, retry)))


def job(job_id: str, retry: Retry) -> Flow[JobRecord]:
    return JobRecord.from_json((yield from fetch(Request("GET", _job_path(job_id)), retry)))


def jobs(state: str | None, name: str | None, limit: int, retry: Retry) -> Flow[list[JobRecord]]:
    found: list[JobRecord] = []
    before: str | None = None
    while len(found) < limit:
        query = {"limit": str(min(limit - len(found), 200))}
        query |= {key: text for key, text in (("state", state), ("name", name)) if text}
        if before is not None:
            query["before"] = before
        page = yield from fetch(Request("GET", "/v1/jobs", query=query), retry)
        records = [JobRecord.from_json(item) for item in page.get("jobs", [])]
        found += records
        before = page.get("next")
        if before is None or not records:
            break
    return found[:limit]


def nodes(retry: Retry) -> Flow[list[Node]]:
    answer = yield from fetch(Request("GET", "/v1/nodes"), retry)
    return [Node.from_json(item) for item in answer.get("nodes", [])]


def whoami(retry: Retry) -> Flow[dict[str, str]]:
    answer = yield from fetch(Request("GET", "/v1/whoami"), retry)
    return {key: str(answer.get(key, "")) for key in ("key_id", "name", "role")}


def secrets(retry: Retry) -> Flow[list[Secret]]:
    answer = yield from fetch(Request("GET", "/v1/secrets"), retry)
    return [Secret.from_json(item) for item in answer.get("secrets", [])]


def set_secret(name: str, value: str, retry: Retry) -> Flow[None]:
    headers = {"Content-Type": "application/octet-stream"}
    request = Request("PUT", _secret_path(name), headers=headers, body=value.encode())
    yield from _do(request, retry)


def delete_secret(name: str, retry: Retry) -> Flow[None]:
    yield from _do(Request("DELETE", _secret_path(name)), retry)


def cancel(job_id: str, retry: Retry) -> Flow[JobRecord]:
    request = Request("POST", _job_path(job_id) + "/cancel")
    return JobRecord.from_json((yield from fetch(request, retry)))


def wait(job_id: str, timeout_s: float | None, retry: Retry) -> Flow[JobRecord]:
    """Until the job has ended. Raises DeadlineExceeded after ``timeout_s`` seconds."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left = _WAIT_S if deadline is None else min(_WAIT_S, deadline - time.monotonic())
        left = max(left, 0.0)
        request = Request("GET", _job_path(job_id), query={"wait": f"{left:.0f}"}, wait_s=left)
        patience = _WAIT_PATIENCE_S if deadline is None else min(_WAIT_PATIENCE_S, left + 1.0)
        record = JobRecord.from_json((yield from fetch(request, retry, patience)))
        if record.terminal:
            return record
        if deadline is not None and time.monotonic() >= deadline:
            state = f"{record.state}: {record.reason}" if record.reason else record.state
            raise DeadlineExceeded(f"{job_id} has not ended after {timeout_s} s; it is {state}")


def events(job_id: str, retry: Retry) -> Flow[list[JobEvent]]:
    answer = yield from fetch(Request("GET", _job_path(job_id) + "/events"), retry)
    return [JobEvent.from_json(item) for item in answer.get("events", [])]


def result(record: JobRecord, retry: Retry) -> Flow[ResultRecord]:
    """Of an ended job. Raises JobFailed, with what result there is, when it did not succeed."""
    request = Request("GET", _job_path(record.id) + "/results")
    found: ResultRecord | None = None
    try:
        found = ResultRecord.from_json((yield from fetch(request, retry)))
    except FailedPrecondition:
        if record.state == "succeeded":
            raise
    if found is not None and record.state == "succeeded":
        return found
    text = (yield from logs(record.id, retry)) if record.attempts else ""
    raise JobFailed(
        job_id=record.id,
        state=record.state,
        reason=record.reason or (found.detail if found else ""),
        outcome=found.outcome if found else "",
        exit_code=found.exit_code if found else None,
        error=found.error if found else None,
        logs="".join(text.splitlines(keepends=True)[-_LOG_TAIL_LINES:]),
        result=found,
    )


def logs(job_id: str, retry: Retry, attempt: str | None = None) -> Flow[str]:
    """Both streams and the network's own remarks so far, merged in the order they were written."""
    texts: list[str] = []
    offset = 0
    while True:
        query = {"offset": str(offset), "limit": str(_LOG_PAGE_BYTES)}
        if attempt:
            query["attempt"] = attempt
        request = Request("GET", _job_path(job_id) + "/logs", query=query)
        page = yield from fetch(request, retry)
        texts += [str(item.get("text", "")) for item in page.get("records", [])]
        attempt = page.get("attempt_id") or attempt
        following = page.get("next_offset", offset)
        if following <= offset:
            return "".join(texts)
        offset = following


def download(artifact: ArtifactInfo, sink: Callable[[bytes], object], retry: Retry) -> Flow[None]:
    """Hands the artifact's bytes to ``sink`` in order. Raises DataLoss when they are not its."""
    digest = hashlib.sha256()
    offset = 0
    while offset < artifact.bytes:
        last = min(offset + _PIECE_BYTES, artifact.bytes) - 1
        request = Request(
            "GET",
            f"/v1/artifacts/{quote(artifact.sha256)}",
            headers={"Range": f"bytes={offset}-{last}"},
        )
        response = yield from exchange(request, retry)
        if not response.ok:
            raise problem_of(request, response)
        piece = response.body
        if response.status == 200 and (offset or len(piece) != artifact.bytes):
            piece = piece[offset : last + 1]
        if not piece or len(piece) > last + 1 - offset:
            raise DataLoss(
                f"{artifact.name}: expected bytes {offset}-{last}, found {len(piece)} bytes"
            )
        digest.update(piece)
        sink(piece)
        offset += len(piece)
    if digest.hexdigest() != artifact.sha256:
        raise DataLoss(
            f"{artifact.name}: expected SHA-256 {artifact.sha256}, found {digest.hexdigest()}"
        )


def download_file(artifact: ArtifactInfo, directory: Path, retry: Retry) -> Flow[Path]:
    """Writes the artifact below ``directory``; the file appears whole or not at all."""
    target = local_path(directory, artifact.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield from download(artifact, file.write, retry)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def read_artifact(artifact: ArtifactInfo, retry: Retry) -> Flow[bytes]:
    data = bytearray()
    yield from download(artifact, data.extend, retry)
    return bytes(data)


def _upload(file: LocalFile, retry: Retry) -> Flow[tuple[str, int]]:
    """Sends the pieces that the network lacks. Returns the file's SHA-256 and its size."""
    with file.open() as data:
        sha256 = hashlib.file_digest(data, "sha256").hexdigest()
        size = data.seek(0, os.SEEK_END)
        path = f"/v1/artifacts/{sha256}"
        head = Request("HEAD", path)
        response = yield from exchange(head, retry)
        if response.ok:
            return sha256, size
        if response.status != 404:
            raise problem_of(head, response)
        offset = int(response.headers.get("upload-offset", "0"))
        while True:
            data.seek(offset)
            piece = data.read(min(_PIECE_BYTES, size - offset))
            headers = {"Content-Type": "application/octet-stream"}
            if len(piece) != size:
                headers["Content-Range"] = f"bytes {offset}-{offset + len(piece) - 1}/{size}"
            request = Request("PUT", path, headers=headers, body=piece)
            response = yield from exchange(request, retry)
            if response.status in (200, 201):
                return sha256, size
            following = _offset_of(response)
            if following is None or not 0 <= following < size:
                raise problem_of(request, response)
            if following == offset and response.ok:
                raise InternalError(f"{request.what}: the upload does not move past {offset}")
            offset = following


def _offset_of(response: Response) -> int | None:
    """Where to go on, of a 202 or a 409; ``None`` when the answer does not say."""
    if response.status not in (202, 409):
        return None
    try:
        offset = json.loads(response.body).get("offset")
    except (ValueError, AttributeError):
        return None
    return offset if isinstance(offset, int) else None


def _do(request: Request, retry: Retry) -> Flow[None]:
    """For an answer without a body."""
    response = yield from exchange(request, retry)
    if not response.ok:
        raise problem_of(request, response)


def _secret_path(name: str) -> str:
    return f"/v1/secrets/{quote(name, safe='')}"


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def local_path(directory: Path, name: str) -> Path:
    """Where an artifact goes. Its name comes from a machine that need not be trusted."""
    parts = name.split("/")
    if not name or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise DataLoss(f"artifact name {name!r} is not a relative path; refused")
    return directory.joinpath(*parts)
