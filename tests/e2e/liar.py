# SPDX-License-Identifier: Apache-2.0
"""A node that speaks the node protocol and computes natively with numpy, right or wrong.

It knows the test's program alone (see ``PROGRAM``), whose values are small whole numbers in f32, so
that numpy has the same bits. It makes receipts by docs/formats/receipt.md, without our code: what
it lies about is consistent.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy

Array = numpy.ndarray[Any, Any]
DTYPE_F32 = 1  # docs/formats/bcvm.md

# One value an instruction, so that instruction k makes value k + 1.
PROGRAM = """bcvm 1.0 profile n1

func @main(%x: f32[4,4]) -> (%y: f32[4,4]) {
  %1 = TensorMatMul %x, %x : f32[4,4]
  %2 = Add %1, %x : f32[4,4]
  %3 = Relu %2 : f32[4,4]
  %4 = TensorMatMul %3, %x : f32[4,4]
  %5 = Mul %4, %2 : f32[4,4]
  return %5
}
"""
INSTRUCTIONS = ["TensorMatMul", "Add", "Relu", "TensorMatMul", "Mul"]


def compute(x: Array, flip: int | None = None) -> list[Array]:
    """The values of all instructions; one bit of instruction ``flip``'s result is flipped and what
    follows is computed from that."""
    values: list[Array] = []
    steps: list[Callable[[], Array]] = [
        lambda: x @ x,
        lambda: values[0] + x,
        lambda: numpy.maximum(values[1], numpy.float32(0)),
        lambda: values[2] @ x,
        lambda: values[3] * values[1],
    ]
    for number, step in enumerate(steps):
        value = numpy.ascontiguousarray(step(), numpy.float32)
        if number == flip:
            value = value.copy()
            value.view(numpy.uint32).flat[15] ^= 1 << 20
        values.append(value)
    return values


def root(tensor: Array) -> str:
    """A tensor's root, of one chunk at most."""
    data = tensor.tobytes()
    assert len(data) <= 65536 and tensor.dtype == numpy.float32
    leaf = hashlib.sha256(b"\x00" + data).digest()
    dims = b"".join(struct.pack("<Q", size) for size in tensor.shape)
    header = bytes([DTYPE_F32, tensor.ndim]) + dims
    return hashlib.sha256(b"\x02" + header + leaf).hexdigest()


def commitment(receipt: dict[str, Any]) -> str:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    def digests(values: list[str]) -> bytes:
        return struct.pack("<Q", len(values)) + b"".join(map(bytes.fromhex, values))

    assert not receipt["symbols"] and not receipt["checkpoints"]
    content = text(receipt["format"]) + bytes.fromhex(receipt["program"])
    content += text(receipt["profile"]) + struct.pack("<Q", 0)
    content += digests(receipt["weights"]) + digests(receipt["inputs"]) + struct.pack("<Q", 0)
    return hashlib.sha256(content + digests(receipt["results"])).hexdigest()


def make_receipt(program: str, x: Array, values: list[Array]) -> dict[str, Any]:
    receipt: dict[str, Any] = {
        "format": "bcai-receipt/1",
        "program": program,
        "profile": "n1",
        "symbols": {},
        "weights": [],
        "inputs": [root(x)],
        "checkpoints": [],
        "results": [root(values[-1])],
        "trace": [{"value": k + 1, "root": root(value)} for k, value in enumerate(values)],
    }
    receipt["commitment"] = commitment(receipt)
    return receipt


def safetensors(name: str, tensor: Array) -> bytes:
    data = tensor.tobytes()
    entry = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [0, len(data)]}
    header = json.dumps({name: entry}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


class Answer:
    """What the node will say: the receipt and the results, to be spoiled."""

    def __init__(self, program: str, x: Array, flip: int | None) -> None:
        values = compute(x, flip)
        self.receipt = make_receipt(program, x, values)
        self.receipt_bytes: bytes | None = None  # instead of the receipt
        self.result = values[-1]


Spoil = Callable[[Answer], object]


class TestNode:
    """Takes one lease after the other until it is stopped, each in the way ``flip`` says; with
    ``spoil`` one alone."""

    __test__ = False

    def __init__(
        self, endpoint: str, key: str, directory: Path, name: str,
        flip: int | None = None, spoil: Spoil | None = None,
    ) -> None:  # fmt: skip
        self.leases: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.failure: BaseException | None = None
        self._flip = flip
        self._spoil = spoil
        self._stopping = threading.Event()
        self._http = httpx.Client(base_url=endpoint, timeout=60)
        self._register(key, directory, name)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(20)
        self._http.close()
        if self.failure is not None:
            raise self.failure

    def _post(self, path: str, body: Any, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = self._http.post(path, json=body, headers=headers)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def _register(self, key: str, directory: Path, name: str) -> None:
        private, message = directory / f"{name}.pem", directory / f"{name}.nonce"
        openssl("genpkey", "-algorithm", "ed25519", "-out", str(private))
        der = openssl("pkey", "-in", str(private), "-pubout", "-outform", "DER")
        public = der[-32:].hex()
        nonce = self._post("/v1/nodes/challenge", {"public_key": public}, "")["nonce"]
        message.write_bytes(b"bcai node registration\n" + nonce.encode())
        signature = openssl(
            "pkeyutl", "-sign", "-inkey", str(private), "-rawin", "-in", str(message)
        )
        room = {"cpu_millicores": 4000, "memory_bytes": 8 * 10**9, "disk_bytes": 8 * 10**9}
        self._free = {**room, "slots": 1}
        capabilities = {**self._free, "hostname": name, "architecture": platform.machine()}
        session = self._post(
            "/v1/nodes",
            {"name": name, "public_key": public, "nonce": nonce, "signature": signature.hex(),
             "capabilities": capabilities},
            key,
        )  # fmt: skip
        self.id, self._token = session["node_id"], session["session"]

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                body = {"free": self._free, "held": []}
                path = f"/v1/nodes/{self.id}/leases?wait=1"
                for lease in self._post(path, body, self._token)["leases"]:
                    self._answer(lease)
                    if self._spoil is not None:
                        return
        except BaseException as error:
            self.failure = error

    def _fetch(self, sha256: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = self._http.get(f"/v1/artifacts/{sha256}", headers=headers)
        assert answer.is_success, answer.text
        return answer.content

    def _bring(self, name: str, data: bytes) -> dict[str, Any]:
        sha256 = hashlib.sha256(data).hexdigest()
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = self._http.put(f"/v1/artifacts/{sha256}", content=data, headers=headers)
        assert answer.is_success, answer.text
        return {"name": name, "sha256": sha256, "bytes": len(data)}

    def _answer(self, lease: dict[str, Any]) -> None:
        self.leases.append(lease)
        spec = lease["spec"]
        files = {file["path"]: file["sha256"] for file in spec["files"]}
        x = numpy.load(io.BytesIO(self._fetch(files[spec["inputs"]["x"]])))
        # Canonical, so its identity is the file's digest.
        answer = Answer(files[spec["program"]], x, self._flip)
        if self._spoil is not None:
            self._spoil(answer)
        receipt = answer.receipt_bytes or json.dumps(answer.receipt).encode()
        result = {
            "outcome": "finished",
            "exit_code": 0,
            "artifacts": [
                self._bring("outputs/receipt.json", receipt),
                self._bring("outputs.safetensors", safetensors("y", answer.result)),
            ],
        }
        path = f"/v1/attempts/{lease['attempt_id']}/result?epoch={lease['epoch']}"
        self.answers.append(self._post(path, result, self._token))


def openssl(*arguments: str) -> bytes:
    return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout
