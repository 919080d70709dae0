# SPDX-License-Identifier: Apache-2.0
"""Outputs, tensors, artifacts and files."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcai
import pytest
from bcai import SDK, JobResult
from bcai.tensors import read_safetensors, to_numpy
from fake_coordinator import KEY, FakeCoordinator, FakeJob, Network

numpy = pytest.importorskip("numpy")


def safetensors(tensors: dict[str, tuple[str, list[int], bytes]]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"made": "by hand"}}
    body = b""
    for name, (dtype, shape, data) in tensors.items():
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


WEIGHTS = safetensors(
    {
        "w": ("F32", [2, 2], struct.pack("<4f", 1, 2, 3, 4)),
        "h": ("BF16", [2], struct.pack("<2H", 0x3F80, 0xC040)),
    }
)


def artifact(fake: FakeCoordinator, name: str, data: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(data).hexdigest()
    fake.artifacts[sha256] = data
    return {"name": name, "sha256": sha256, "bytes": len(data)}


@pytest.fixture
def done(network: Network) -> Iterator[tuple[FakeCoordinator, JobResult]]:
    """A job that left two numbers, two tensors, a value that was left out and three files."""

    def plan(job: FakeJob) -> None:
        job.end(
            outputs={"loss": 0.5, "history": {"epochs": [1, 2]}},
            tensors=[
                {"name": "w", "dtype": "F32", "shape": [2, 2]},
                {"name": "h", "dtype": "BF16", "shape": [2]},
            ],
            left_out=[{"name": "model", "reason": "a Sequential is not carried"}],
            artifacts=[
                artifact(fake, "outputs.safetensors", WEIGHTS),
                artifact(fake, "outputs/plots/a.txt", b"plot"),
                artifact(fake, "outputs/empty", b""),
            ],
        )

    fake = network(plan)
    with SDK(fake.endpoint, KEY) as client:
        yield fake, client.create_job("pass").execute()


def test_outputs(done: tuple[FakeCoordinator, JobResult]) -> None:
    fake, result = done
    outputs = result.outputs
    assert sorted(outputs) == ["h", "history", "loss", "w"]
    assert len(outputs) == 4
    assert outputs["history"]["epochs"] == [1, 2]
    assert "w" in outputs and "model" not in outputs
    assert "<F32 [2, 2]>" in repr(outputs)
    assert fake.count("GET", "/v1/artifacts/.*") == 0
    assert outputs["w"].tolist() == [[1, 2], [3, 4]]
    assert outputs["w"].dtype == numpy.float32
    assert outputs["h"].tolist() == [1.0, -3.0]
    assert fake.count("GET", "/v1/artifacts/.*") == 1
    outputs["w"][0, 0] = 9
    assert outputs["w"][0, 0] == 1


def test_a_lock_is_given_back(network: Network) -> None:
    lock = {"format": 1, "python": "3.11", "platform": "linux_x86_64", "packages": []}
    fake = network(lambda job: job.end(environment_lock=lock))
    with SDK(fake.endpoint, KEY) as client:
        result = client.create_job("pass", requirements=["six"]).execute()
        assert result.environment_lock == lock
        client.create_job("pass", environment_lock=result.environment_lock).execute()
    assert [job.spec.get("environment_lock") for job in fake.jobs.values()] == [None, lock]


def test_a_missing_output_says_why(done: tuple[FakeCoordinator, JobResult]) -> None:
    outputs = done[1].outputs
    with pytest.raises(KeyError) as caught:
        outputs["model"]
    assert str(caught.value) == "output 'model' was left out: a Sequential is not carried"
    with pytest.raises(bcai.OutputMissing, match="there are: h, history, loss, w"):
        outputs["los"]
    assert outputs.get("los", 7) == 7


def test_without_numpy(
    done: tuple[FakeCoordinator, JobResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert done[1].outputs["loss"] == 0.5
    assert done[1].outputs.tensors["w"].shape == (2, 2)
    with pytest.raises(ImportError, match=r"bcai\[numpy\]"):
        done[1].outputs["w"]


def test_artifacts(done: tuple[FakeCoordinator, JobResult], tmp_path: Path) -> None:
    fake, result = done
    fake.range_bytes_max = 3
    assert result.artifacts.names == ["outputs.safetensors", "outputs/plots/a.txt", "outputs/empty"]
    assert [item.bytes for item in result.artifacts] == [len(WEIGHTS), 4, 0]
    assert result.artifacts.read("outputs/plots/a.txt") == b"plot"
    with pytest.raises(bcai.NotFound, match="outputs/plots/b.txt"):
        result.artifacts.read("outputs/plots/b.txt")
    paths = result.artifacts.download(tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths] == (
        result.artifacts.names
    )
    assert paths[0].read_bytes() == WEIGHTS
    assert (tmp_path / "out" / "outputs" / "plots" / "a.txt").read_bytes() == b"plot"
    assert paths[2].read_bytes() == b""
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        "a.txt",
        "empty",
        "outputs.safetensors",
    ]
    (only,) = result.artifacts.download(tmp_path / "one", ["outputs/plots/a.txt"])
    assert only.read_bytes() == b"plot"


def test_wrong_bytes_are_not_kept(done: tuple[FakeCoordinator, JobResult], tmp_path: Path) -> None:
    fake, result = done
    fake.artifacts[result.artifacts.find("outputs/plots/a.txt").sha256] = b"plop"
    with pytest.raises(bcai.DataLoss, match="SHA-256"):
        result.artifacts.download(tmp_path)
    assert not (tmp_path / "outputs" / "plots" / "a.txt").exists()
    assert list((tmp_path / "outputs" / "plots").iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "", "a//b", "a\0b", "."])
def test_an_artifact_stays_in_its_directory(network: Network, tmp_path: Path, name: str) -> None:
    fake = network(lambda job: job.end(artifacts=[{**item, "name": name}] if name else [item]))
    item = artifact(fake, "x", b"evil")
    directory = tmp_path / "a" / "b"
    with SDK(fake.endpoint, KEY) as client:
        job = client.create_job("pass")
        if not name:
            return
        with pytest.raises(bcai.DataLoss, match="relative"):
            job.execute().artifacts.download(directory)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_files_are_uploaded_in_pieces(client: SDK, fake: FakeCoordinator, tmp_path: Path) -> None:
    big = bytes(range(256)) * (20 << 12)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.bin").write_bytes(big)
    (tmp_path / "data" / "a.txt").write_text("a")
    files: dict[str, Any] = {"d": tmp_path / "data", "e.txt": b"", "x/y.bin": b"xy"}
    client.create_job("pass", files=files).execute()
    (job,) = fake.jobs.values()
    sent = {item["path"]: fake.artifacts[item["sha256"]] for item in job.spec["files"]}
    assert sent == {"d/a.txt": b"a", "d/b.bin": big, "e.txt": b"", "x/y.bin": b"xy"}
    puts = fake.count("PUT", "/v1/artifacts/.*")
    assert puts == 3 + 3
    client.create_job("other", files=files).execute()
    assert fake.count("PUT", "/v1/artifacts/.*") == puts


def test_an_upload_goes_on_where_it_broke(client: SDK, fake: FakeCoordinator) -> None:
    data = bytes(range(256)) * (20 << 12)
    sha256 = hashlib.sha256(data).hexdigest()
    fake.uploads[sha256] = data[:1000]
    fake.fail("PUT", "/v1/artifacts/.*", 0, 1, after=True)  # kept, but nobody was told
    fake.fail("PUT", "/v1/artifacts/.*", 503, 1)
    client.create_job("pass", files={"x": data}).execute()
    assert fake.artifacts[sha256] == data


def test_files_that_are_not_there(client: SDK, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.create_job("pass", files=[tmp_path / "no"])
    with pytest.raises(TypeError):
        client.create_job("pass", files="data.txt")


def test_every_dtype_reads_as_safetensors_writes_it() -> None:
    reference = pytest.importorskip("safetensors.numpy")
    arrays = {
        kind: (numpy.arange(6).reshape(2, 3) % 2).astype(kind)
        for kind in ("bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
    }
    arrays["empty"] = numpy.zeros((0, 3), "f4")
    arrays["scalar"] = numpy.array(2.5, "f8")
    read = read_safetensors(reference.save(arrays))
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        found = to_numpy(name, read[name])
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert (found == array).all()


def test_damaged_safetensors_are_refused() -> None:
    good = safetensors({"w": ("F32", [2], bytes(8))})
    assert read_safetensors(good)["w"].shape == (2,)
    for size in range(len(good)):
        with pytest.raises(bcai.DataLoss):
            read_safetensors(good[:size])
    for dtype, shape, offsets in (
        ("F32", [2], [0, 4]),
        ("F32", [3], [0, 8]),
        ("F32", [-2], [0, 8]),
        ("F32", [2**62, 4], [0, 8]),
        ("F32", [2.0], [0, 8]),
        ("F32", [True], [0, 4]),
        ("F32", [2], [8, 16]),
        ("F32", [0], [8, 0]),
        ("F99", [2], [0, 8]),
        (["F32"], [2], [0, 8]),
        ("F32", None, [0, 8]),
        ("F32", [2], "08"),
    ):
        entry = {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}
        text = json.dumps(entry).encode()
        with pytest.raises(bcai.DataLoss):
            read_safetensors(struct.pack("<Q", len(text)) + text + bytes(8))
    for text in (b"[]", b"nonsense", b'{"w": 3}', b"[" * 100_000):
        with pytest.raises(bcai.DataLoss):
            read_safetensors(struct.pack("<Q", len(text)) + text)
