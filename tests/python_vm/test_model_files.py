# SPDX-License-Identifier: Apache-2.0
"""Where models are looked for on this machine, and when the network is asked."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from bcai import InvalidArgument, NotFound
from bcai.model_files import find_huggingface, find_model, weight_files


def snapshot(hub: Path, name: str, commit: str, reference: str = "") -> Path:
    directory = hub / f"models--{name.replace('/', '--')}"
    (directory / "snapshots" / commit).mkdir(parents=True)
    (directory / "snapshots" / commit / "config.json").write_text("{}")
    if reference:
        (directory / "refs").mkdir(exist_ok=True)
        (directory / "refs" / reference).write_text(commit)
    return directory / "snapshots" / commit


def test_the_cache_of_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = tmp_path / "huggingface" / "hub"  # of HF_HOME, which every test has
    one = snapshot(hub, "org/name", "abc", "main")
    two = snapshot(hub, "org/name", "def", "v2")
    alone = snapshot(hub, "bert-base-uncased", "123")
    assert find_model("huggingface://org/name") == one
    assert find_huggingface("org/name@v2") == two == find_huggingface("org/name@def")
    assert find_huggingface("bert-base-uncased") == alone
    with pytest.raises(NotFound):
        find_huggingface("org/name@v3")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    with pytest.raises(NotFound, match="models--org--name"):
        find_huggingface("org/name")
    other = snapshot(tmp_path / "elsewhere", "org/name", "456", "main")
    assert find_huggingface("org/name") == other


def test_which_of_two_snapshots_is_not_guessed(tmp_path: Path) -> None:
    hub = tmp_path / "huggingface" / "hub"
    snapshot(hub, "org/name", "abc")
    snapshot(hub, "org/name", "def")
    with pytest.raises(NotFound):
        find_huggingface("org/name")
    assert find_huggingface("org/name@abc").name == "abc"


def test_the_own_store_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = snapshot(tmp_path / "huggingface" / "hub", "org/name", "abc", "main")
    own = tmp_path / "models" / "org" / "name"
    own.mkdir(parents=True)
    monkeypatch.setenv("BCAI_MODELS", str(tmp_path / "models"))
    assert find_huggingface("org/name") == cached  # nothing there yet
    (own / "config.json").write_text("{}")
    assert find_huggingface("org/name") == own
    assert find_huggingface("org/name@main") == cached  # it has no revisions


@pytest.mark.parametrize("name", ["", "../x", "a/b/c", "/etc", "a/../b", "-x", "a b", "a@../../b"])
def test_names_that_are_paths_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="expected NAME or ORGANISATION/NAME"):
        find_huggingface(name)


def test_the_network_is_asked_only_when_told(monkeypatch: pytest.MonkeyPatch,
                                             tmp_path: Path) -> None:  # fmt: skip
    asked: list[tuple[str, Any]] = []

    def snapshot_download(name: str, **options: Any) -> str:
        asked.append((name, options))
        return str(tmp_path)

    fake = types.ModuleType("huggingface_hub")
    fake.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    with pytest.raises(NotFound, match="load it with download=True"):
        find_huggingface("org/name")
    assert asked == []
    assert find_huggingface("org/name@v2", download=True) == tmp_path
    ((name, options),) = asked
    assert (name, options["revision"]) == ("org/name", "v2")
    # No code and no pickles.
    assert not [each for each in options["allow_patterns"] if each.endswith((".py", ".bin", "*"))]
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        find_huggingface("org/name", download=True)


def test_weight_files_are_those_that_save_writes(tmp_path: Path) -> None:
    for name in ("a[1].bcvm", "a[1]-1.safetensors", "a[1]-2.safetensors", "a1-1.safetensors",
                 "b.safetensors"):  # fmt: skip
        (tmp_path / name).touch()
    found = weight_files(tmp_path / "a[1].bcvm")
    assert [path.name for path in found] == ["a[1]-1.safetensors", "a[1]-2.safetensors"]
    assert weight_files(tmp_path / "b.bcvm") == [tmp_path / "b.safetensors"]
