# SPDX-License-Identifier: Apache-2.0
"""Packages that are built from source, with backends made here and setuptools."""
import hashlib
import io
import json
import subprocess
import zipfile
from importlib import metadata

import pytest
from conftest import find_program, find_uv
from package_index import make_source
from sandbox_host import has_runsc

pytestmark = pytest.mark.skipif(not has_runsc(), reason="needs runsc: apt-get install runsc")


@pytest.fixture
def prepare(tmp_path, index):
    def run(*requirements, state="state", **options):
        request = {"requirements": list(requirements)}
        request |= {name: options.pop(name) for name in ("lock", "code", "build_from_source")
                    if name in options}
        path = tmp_path / "request.json"
        path.write_text(json.dumps({"state_directory": str(tmp_path / state), "uv": find_uv(),
                                    "index_url": index.url, "rounds": [[request]], **options}))
        done = subprocess.run([find_program(), path], capture_output=True, text=True, check=False,
                              timeout=600)
        assert done.returncode == 0, done.stderr
        run.log = done.stderr
        return json.loads(done.stdout)[0][0]

    return run


def test_a_package_of_source_alone_is_built_and_the_rest_are_wheels(prepare, index):
    name, data = index.add_source("src", requires=["tool"], before="import tool; tool.check()",
                                  files={"README": "x"})
    index.add("tool", files={"tool/__init__.py": "def check(): pass\n"})
    index.add("top", requires=["src"])
    made = prepare("top", build_from_source=["SRC"], code="import src; print(src.version)")
    assert made.get("stdout") == "1.0\n", made
    assert made["progress"] == [
        "looking for the source of src", "resolving what src is built with",
        "building src 1.0 from source, downloading 1 of 1",
        "building src 1.0 from source, building 1 of 1", "building src 1.0 from source",
        "resolving 1 requirement", "downloading 1 of 1", "building 1 of 2", "building 2 of 2"]
    lock = made["lock"]
    assert [p["name"] for p in lock["packages"]] == ["src", "top"]
    source, = lock["sources"]
    assert source["file"] == name and source["sha256"] == hashlib.sha256(data).hexdigest()
    assert source["bytes"] == len(data)
    tool, = source["build_requirements"]
    assert tool["sha256"] == hashlib.sha256(index.files["tool"][tool["wheel"]]).hexdigest()
    assert "tool" not in {file["path"].split("/")[0] for file in made["files"]}


def test_the_lock_builds_the_same_files_elsewhere_and_no_others(prepare, index):
    index.add_source("src")
    first = prepare("src", build_from_source=["src"])
    at_hand = prepare(lock=first["lock"])
    assert at_hand["progress"] == [] and at_hand["overlay"] == first["overlay"]
    index.add_source("src", "2.0")
    again = prepare(lock=first["lock"], state="other")
    assert again["lock"] == first["lock"] and again["files"] == first["files"]
    assert "building src 1.0 from source" in again["progress"]
    first["lock"]["packages"][0]["sha256"] = "0" * 64
    refused = prepare(lock=first["lock"])
    assert refused["code"] == "invalid_argument"
    assert "was built into other files than the lock's" in refused["error"]
    first["lock"]["sources"][0]["sha256"] = "0" * 64
    assert "src-1.0.tar.gz has the wrong hash" in prepare(lock=first["lock"])["error"]


def test_a_backend_may_ask_for_more(prepare, index):
    index.add_source("src", before="import more; assert more.version == '1.5'",
                     hooks="def get_requires_for_build_wheel(config_settings=None):\n"
                           "    return ['more<2']\n")
    index.add("more", "1.5")
    index.add("more", "2.0")
    made = prepare("src", build_from_source=["src"])
    assert [p["name"] for p in made["lock"]["sources"][0]["build_requirements"]] == ["more"]
    again = prepare(lock=made["lock"], state="other")
    assert again["files"] == made["files"]


def test_the_newest_that_is_allowed_is_built(prepare, index):
    for version in ("1.0", "1.5", "1.6rc1", "2.0"):
        index.add_source("src", version)
    index.add("src", "1.9")  # a wheel, which was not asked for
    made = prepare("src<2", build_from_source=["src"])
    assert made["lock"]["packages"][0]["version"] == "1.5"
    refused = prepare("src>2", build_from_source=["src"])
    assert "no source distribution (.tar.gz) of src that the requirements" in refused["error"]
    assert "it has 1.0, 1.5, 1.6rc1, 2.0" in refused["error"]


def test_only_what_is_named_is_built(prepare, index):
    index.add_source("src", requires=[])
    index.add_source("other")
    index.add("wants-both", requires=["src", "other"])
    refused = prepare("wants-both", build_from_source=["src"])
    assert refused["code"] == "invalid_argument"
    assert "source code only" in refused["error"] and "build_from_source" in refused["error"]
    refused = prepare("src", build_from_source=["src", "other"])
    assert refused["error"] == "build_from_source names other, which the requirements do not need"


def test_a_build_that_fails_shows_the_end_of_what_it_said(prepare, index):
    index.add_source("src", before="print('x' * 50_000); raise SystemExit('no compiler here')")
    refused = prepare("src", build_from_source=["src"])
    assert refused["code"] == "invalid_argument"
    assert refused["error"].startswith(
        "building src 1.0 from source failed: no compiler here\n  The end of what backend said")
    assert len(refused["error"]) < 8000


def test_a_build_that_kills_its_sandbox_is_the_packages_fault(prepare, index):
    index.add_source("src", before="import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    refused = prepare("src", build_from_source=["src"])
    assert refused["code"] == "invalid_argument"
    assert refused["error"].startswith("building src 1.0 from source failed: it ended as finished")


def test_a_build_reaches_nothing(prepare, index):
    index.add_source("src", before=f"import socket; socket.create_connection("
                                   f"('127.0.0.1', {index.server.server_address[1]}), 5)")
    refused = prepare("src", build_from_source=["src"])
    assert refused["code"] == "invalid_argument"
    assert "building src 1.0 from source failed: " in refused["error"]
    assert "Error: [Errno" in refused["error"]
    index.add_source("more", before="import urllib.request; urllib.request.urlopen("
                                    f"'{index.url}/stolen/', timeout=5)")
    assert prepare("more", build_from_source=["more"])["code"] == "invalid_argument"
    assert not [path for path in index.requests if "stolen" in path]


@pytest.mark.parametrize(("keywords", "words"), [
    ({"files": {"../../escape": "x"}}, "holds a path that leads elsewhere: '../../escape'"),
    ({"files": {"/tmp/escape": "x"}}, "holds a path that leads elsewhere: '/tmp/escape'"),
    ({"files": {"a/../../../b": "x"}}, "holds a path that leads elsewhere"),
    ({"links": {"link": "/etc/passwd"}}, "holds a link or a special file"),
    ({"sizes": {"large": 2 << 30}}, "is too large: more than 50000 files or 1000000000 bytes"),
])
def test_an_evil_source_is_refused_before_anything_runs(prepare, index, keywords, words):
    pyproject = ('[build-system]\nrequires = []\nbuild-backend = "backend"\n'
                 'backend-path = ["."]\n')
    files = {"pyproject.toml": pyproject, "backend.py": "raise SystemExit('RAN')\n",
             **keywords.get("files", {})}
    name, data = make_source("evil", files=files, links=keywords.get("links"),
                             sizes=keywords.get("sizes"))
    index.add_file("evil", name, data)
    refused = prepare("evil", build_from_source=["evil"])
    assert refused["code"] == "invalid_argument"
    assert words in refused["error"] and "RAN" not in refused["error"]


@pytest.mark.parametrize(("keywords", "words"), [
    ({"wheel": "other-1.0-py3-none-any.whl"}, "expected a wheel of src 1.0, found other-1.0-"),
    ({"wheel": "src-2.0-py3-none-any.whl"}, "expected a wheel of src 1.0, found src-2.0-"),
    ({"wheel": "src-1.0-cp27-cp27m-win32.whl"}, "expected a wheel for Python 3."),
    ({"metadata_name": "other"}, "holds another package: expected src, found 'other'"),
])
def test_a_wheel_of_another_package_is_refused(prepare, index, keywords, words):
    index.add_source("src", **keywords)
    refused = prepare("src", build_from_source=["src"])
    assert refused["code"] == "invalid_argument" and words in refused["error"], refused


def test_what_is_built_is_held_against_the_rules_of_wheels(prepare, index):
    index.add_source("src", before="files['src.pth'] = 'import os\\n'")
    refused = prepare("src", build_from_source=["src"])
    assert "src.pth holds code" in refused["error"]


def test_without_the_high_level_nothing_is_built(prepare, index):
    index.add_source("src")
    refused = prepare("src", build_from_source=["src"], runsc="no-such-runsc")
    assert refused["code"] == "failed_precondition"
    assert "takes the high security level" in refused["error"] and "install" in refused["error"]
    assert not [path for path in index.requests if "src" in path]


def wheel_of_installed(name):
    """What pip installed, as the wheel that it came from."""
    distribution = metadata.distribution(name)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in distribution.files:
            path = distribution.locate_file(file)
            if ".." not in file.parts and "__pycache__" not in file.parts and path.is_file():
                wheel.write(path, str(file))
    return f"{name}-{distribution.version}-py3-none-any.whl", data.getvalue()


def test_setuptools_builds_as_ever(prepare, index):
    """Without pyproject.toml; setuptools itself comes with a .pth file that holds code."""
    name, data = wheel_of_installed("setuptools")
    index.add_file("setuptools", name, data)
    index.add_file("legacy", *make_source("legacy", files={
        "setup.py": "from setuptools import setup\n"
                    "setup(name='legacy', version='1.0', py_modules=['legacy'])\n",
        "legacy.py": "answer = 42\n"}))
    first = prepare("legacy", build_from_source=["legacy"],
                    code="import legacy; print(legacy.answer)")
    assert first.get("stdout") == "42\n", first
    again = prepare(lock=first["lock"], state="other")
    assert again.get("files") == first["files"], again
