# SPDX-License-Identifier: Apache-2.0
"""A coordinator that answers as schema/openapi.yaml says and runs nothing.

Tests tell it what becomes of a job (``plan``) and which requests shall go wrong (``fail``).
Everything it is sent and everything it answers is held against the schema.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import yaml

KEY = "bcai_testkey_secret"
TIME = "2026-01-31T09:05:07.123Z"
ATTEMPT = "att_01k9x2m4c8q6t3v5w7y9z1a2b6"
OPENAPI = yaml.safe_load((Path(__file__).parents[2] / "schema" / "openapi.yaml").read_text("utf-8"))


SPEC = OPENAPI["components"]["examples"]["QueuedJob"]["value"]["spec"]


def check_schema(name: str, value: object) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": OPENAPI["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


@dataclass
class Fault:
    """Spoils the next ``times`` requests that match. ``status`` 0 breaks the connection."""

    method: str
    path: str
    status: int
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False  # the request takes effect and only its answer is lost


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class FakeJob:
    """A job whose life the test writes, from any thread."""

    def __init__(self, id: str, spec: dict[str, Any]) -> None:
        self.id = id
        self.spec = spec
        self.state = "queued"
        self.desired = "run"
        self.reason = ""
        self.version = 1
        self.progress: dict[str, Any] = {"fraction": None, "message": "", "metrics": {}}
        self.records: list[dict[str, Any]] = []
        self.attempted = False
        self.size = 0
        self.result: dict[str, Any] | None = None
        self.changed = threading.Condition()

    @property
    def terminal(self) -> bool:
        return self.state not in ("queued", "active", "verifying")

    def change(self, **members: Any) -> None:
        with self.changed:
            for name, value in members.items():
                setattr(self, name, value)
            self.version += 1
            self.changed.notify_all()

    def start(self) -> None:
        self.change(state="active", attempted=True)

    def log(self, text: str, stream: str = "stdout") -> None:
        with self.changed:
            record = {"offset": self.size, "stream": stream, "time": TIME, "text": text}
            self.size += 16 + len(text.encode())
            self.records.append(record)
            self.changed.notify_all()

    def end(self, state: str = "succeeded", reason: str = "", **result: Any) -> None:
        self.result = {
            "job_id": self.id, "state": state, "attempt_id": ATTEMPT, "outcome": "finished",
            "exit_code": 0, "detail": "", "outputs": {}, "tensors": [], "left_out": [],
            "artifacts": [], "error": None, "usage": {"wall_ms": 7, "cpu_ms": 5},
            "timings": {"run_ms": 7}, "log_bytes": self.size, **result,
        }  # fmt: skip
        self.change(state=state, reason=reason, attempted=True)

    def json(self) -> dict[str, Any]:
        attempt = {
            "id": ATTEMPT, "node_id": "node_01k9x2m4c8q6t3v5w7y9z1a2b7", "node_name": "fake",
            "epoch": 1, "replica": 0, "state": "running", "reason": "", "created_at": TIME,
            "started_at": TIME, "ended_at": None,
        }  # fmt: skip
        value = {
            "id": self.id, "name": self.spec.get("name", "job"), "state": self.state,
            "desired": self.desired, "reason_code": "", "reason": self.reason,
            "version": self.version, "owner": "key_01k9x2m4c8q6t3v5w7y9z1a2b5",
            "created_at": TIME, "started_at": None, "ended_at": None, "progress": self.progress,
            "attempts": [attempt] if self.attempted else [], "result": None,
            "quote": None, "verification": None, "spec": SPEC,
        }  # fmt: skip
        return json.loads(json.dumps(value))


Plan = Callable[[FakeJob], None]


class FakeCoordinator:
    def __init__(self, plan: Plan, unix_path: str | None = None) -> None:
        self.plan = plan
        self.jobs: dict[str, FakeJob] = {}
        self.secrets: dict[str, bytes] = {}
        self.artifacts: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.wrong: list[str] = []
        self.started = 0
        self.stream_events_max = 10**9  # after so many log events a stream is broken
        self.range_bytes_max = 10**9
        self.lock = threading.Lock()
        members = {"fake": self, "disable_nagle_algorithm": unix_path is None}
        handler = type("Handler", (_Handler,), members)
        if unix_path is None:
            self.server: ThreadingHTTPServer = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        else:
            self.server = _UnixServer(unix_path, handler)  # type: ignore[arg-type]
            self.endpoint = f"unix:{unix_path}"
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def fail(self, method: str, path: str, status: int, times: int = 1, **options: Any) -> None:
        self.faults.append(Fault(method, path, status, times, **options))

    def count(self, method: str, path: str) -> int:
        return sum(1 for s in self.seen if s.method == method and re.fullmatch(path, s.path))

    def submit(self, body: dict[str, Any]) -> tuple[FakeJob, bool, bool]:
        with self.lock:
            known = self.jobs.get(body["id"])
            if known is not None:
                return known, False, known.spec == body
            job = self.jobs[body["id"]] = FakeJob(body["id"], body)
            self.started += 1
        threading.Thread(target=self.plan, args=(job,), daemon=True).start()
        return job, True, True


class _UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)  # type: ignore[arg-type]
        self.server_name, self.server_port = "localhost", 0

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = self.socket.accept()
        return connection, ("local", 0)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeCoordinator
    protocol_version = "HTTP/1.1"
    # Headers and body in one segment: two would wait for each other's acknowledgement.
    wbufsize = -1
    spoiled: Fault | None = None

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET

    def answer(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.fake.seen.append(Seen(self.command, url.path, query, headers, body))
        fault = self.take_fault(url.path)
        if fault is not None and not fault.after:
            return self.spoil(fault)
        if headers.get("authorization") != f"Bearer {KEY}":
            return self.problem(401, "unauthenticated", "the key is missing or wrong")
        self.spoiled = fault
        try:
            self.route(url.path, query, headers, body)
        except Exception as error:
            self.fake.wrong.append(f"{self.command} {self.path}: {error}")
            self.problem(500, "internal", str(error))

    def take_fault(self, path: str) -> Fault | None:
        with self.fake.lock:
            for fault in self.fake.faults:
                if fault.times and fault.method == self.command and re.fullmatch(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def spoil(self, fault: Fault) -> None:
        if fault.status == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.problem(fault.status, "unavailable", "spoiled by the test", fault.headers)

    def route(self, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> None:
        if (self.command, path) == ("POST", "/v1/jobs"):
            return self.post_job(json.loads(body))
        if path == "/v1/jobs":
            return self.list_jobs(query)
        if path == "/v1/nodes":
            return self.send_json(200, {"nodes": []})
        if path == "/v1/secrets":
            listed = [{"name": name, "bytes": len(value), "created_at": TIME, "updated_at": TIME}
                      for name, value in sorted(self.fake.secrets.items())]  # fmt: skip
            return self.send_json(200, {"secrets": listed}, "SecretList")
        if match := re.fullmatch(r"/v1/secrets/([A-Z_][A-Z0-9_]*)", path):
            return self.secret(match[1], body)
        if path == "/v1/whoami":
            key = {"key_id": "key_01k9x2m4c8q6t3v5w7y9z1a2b5", "name": "me", "role": "owner"}
            return self.send_json(200, key, "WhoAmI")
        if match := re.fullmatch(r"/v1/artifacts/([0-9a-f]{64})", path):
            return self.artifact(match[1], headers, body)
        match = re.fullmatch(r"/v1/jobs/(job_[0-9a-z]{26})(/\w+)?", path)
        job = self.fake.jobs.get(match[1]) if match else None
        if match is None or job is None:
            return self.problem(404, "not_found", f"no {path}")
        what = match[2]
        if what is None:
            return self.get_job(job, query)
        if what == "/results":
            if job.result is None:
                return self.problem(412, "failed_precondition", "no result yet")
            return self.send_json(200, job.result, "JobResults")
        if what == "/events":
            event = {"sequence": 1, "time": TIME, "kind": "job.queued", "actor": "user",
                     "reason": ""}  # fmt: skip
            return self.send_json(200, {"events": [event]}, "EventList")
        if what == "/logs":
            if headers.get("accept") == "text/event-stream":
                return self.stream(job, headers.get("last-event-id", f"{ATTEMPT}:0"))
            return self.log_page(job, query)
        if what == "/cancel":
            job.change(desired="cancel")
            return self.send_json(202, job.json(), "Job")
        return self.problem(404, "not_found", path)

    def post_job(self, body: dict[str, Any]) -> None:
        try:
            check_schema("JobSubmission", body)
        except jsonschema.ValidationError as error:
            pointer = "/" + "/".join(str(part) for part in error.absolute_path)
            finding = {"pointer": pointer, "message": error.message, "line": 3, "column": 8}
            return self.problem(400, "invalid_argument", "the job has 1 error", errors=[finding])
        for file in body.get("files", []):
            if len(self.fake.artifacts.get(file["sha256"], b"")) != file["bytes"]:
                return self.problem(412, "failed_precondition", f"{file['path']}: not uploaded")
        job, created, same = self.fake.submit(body)
        if not same:
            return self.problem(409, "already_exists", f"another job is called {job.id}")
        return self.send_json(202 if created else 200, job.json(), "Job")

    def list_jobs(self, query: dict[str, str]) -> None:
        found = sorted(self.fake.jobs.values(), key=lambda job: job.id, reverse=True)
        found = [job for job in found if query.get("state", job.state) == job.state]
        if "before" in query:
            found = [job for job in found if job.id < query["before"]]
        page = found[: min(int(query.get("limit", "50")), 2)]
        following = page[-1].id if len(page) < len(found) else None
        self.send_json(200, {"jobs": [job.json() for job in page], "next": following}, "JobList")

    def get_job(self, job: FakeJob, query: dict[str, str]) -> None:
        if not 0 <= int(query.get("wait", "0")) <= 60:
            raise ValueError(f"wait is {query['wait']}")
        with job.changed:
            job.changed.wait_for(lambda: job.terminal, int(query.get("wait", "0")))
        self.send_json(200, job.json(), "Job")

    def log_page(self, job: FakeJob, query: dict[str, str]) -> None:
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", "100"))
        if offset not in [0, job.size, *(record["offset"] for record in job.records)]:
            raise ValueError(f"no record begins at {offset}")
        page = [record for record in job.records if record["offset"] >= offset][: limit // 500_000]
        following = page[-1]["offset"] + 16 + len(page[-1]["text"].encode()) if page else offset
        answer = {"attempt_id": ATTEMPT, "records": page, "next_offset": following,
                  "end": job.terminal and following == job.size}  # fmt: skip
        self.send_json(200, answer, "LogPage")

    def stream(self, job: FakeJob, last_id: str) -> None:
        attempt, _, position = last_id.rpartition(":")
        if attempt != ATTEMPT:
            raise ValueError(f"Last-Event-ID is {last_id!r}")
        offset, version, sent = int(position), 0, 0

        def news() -> bool:
            return job.version > version or job.size > offset or job.terminal

        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while True:
            with job.changed:
                job.changed.wait_for(news, 5)
                records = [record for record in job.records if record["offset"] >= offset]
                value, terminal = job.json(), job.terminal
            if value["version"] > version:
                version = value["version"]
                self.event("job", value)
            for record in records:
                offset = record["offset"] + 16 + len(record["text"].encode())
                data = {key: record[key] for key in ("stream", "time", "text")}
                self.event("log", {**data, "attempt_id": ATTEMPT}, f"{ATTEMPT}:{offset}")
                sent += 1
                if sent >= self.fake.stream_events_max:
                    self.wfile.write(b"event: log\ndata: {half of an ev")
                    return None
            if terminal and offset == job.size:
                return self.event("end", value)

    def event(self, name: str, data: object, id: str = "") -> None:
        lines = [f"event: {name}", *([f"id: {id}"] if id else []), f"data: {json.dumps(data)}"]
        self.wfile.write(("\n".join(lines) + "\n\n").encode())
        self.wfile.flush()

    def artifact(self, sha256: str, headers: dict[str, str], body: bytes) -> None:
        data = self.fake.artifacts.get(sha256)
        if self.command == "HEAD":
            kept = len(self.fake.uploads.get(sha256, b""))
            length = {"Content-Length": str(len(data))} if data is not None else {}
            return self.send(200 if data is not None else 404, b"",
                             {"Upload-Offset": str(kept), **length})  # fmt: skip
        if self.command == "PUT":
            return self.put(sha256, headers.get("content-range"), body)
        if data is None:
            return self.problem(404, "not_found", sha256)
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        if match is None:
            return self.send(200, data, {})
        first, last = int(match[1]), min(int(match[2]), len(data) - 1)
        piece = data[first : last + 1][: self.fake.range_bytes_max]
        return self.send(206, piece, {"Content-Range": f"bytes {first}-{last}/{len(data)}"})

    def put(self, sha256: str, content_range: str | None, body: bytes) -> None:
        kept, total = self.fake.uploads.get(sha256, b""), len(body)
        if content_range is not None:
            match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range)
            if match is None or int(match[2]) - int(match[1]) + 1 != len(body):
                raise ValueError(f"Content-Range {content_range!r} with {len(body)} bytes")
            total = int(match[3])
            if int(match[1]) != len(kept):
                return self.problem(409, "already_exists", "not there", offset=len(kept))
        if len(body) > 8 << 20:
            raise ValueError("more than 8 MiB")
        kept += body
        if len(kept) < total:
            self.fake.uploads[sha256] = kept
            return self.send_json(202, {"offset": len(kept)}, "UploadOffset")
        self.fake.uploads.pop(sha256, None)
        if hashlib.sha256(kept).hexdigest() != sha256:
            return self.problem(400, "invalid_argument", "wrong digest")
        self.fake.artifacts[sha256] = kept
        return self.send_json(201, {"sha256": sha256, "bytes": total}, "ArtifactStored")

    def problem(
        self,
        status: int,
        code: str,
        detail: str,
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        value = {"type": "about:blank", "title": "Problem", "status": status, "code": code,
                 "detail": detail, **members}  # fmt: skip
        self.send(status, json.dumps(value).encode(), headers or {})

    def secret(self, name: str, body: bytes) -> None:
        known = name in self.fake.secrets
        if self.command == "PUT":
            self.fake.secrets[name] = body
            return self.send(204 if known else 201, b"", {})
        if not known:
            return self.problem(404, "not_found", f"there is no secret {name}")
        del self.fake.secrets[name]
        return self.send(204, b"", {})

    def send_json(self, status: int, value: object, schema: str | None = None) -> None:
        if schema is not None:
            check_schema(schema, value)
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        fault, self.spoiled = self.spoiled, None
        if fault is not None:
            return self.spoil(fault)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None


Network = Callable[..., FakeCoordinator]


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it never became true")
        time.sleep(0.01)
