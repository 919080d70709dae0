# SPDX-License-Identifier: Apache-2.0
"""Environments from requirements, against an index on this machine and wheels made here."""
import hashlib
import io
import json
import os
import re
import socket
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, find_program, find_uv
from package_index import make_wheel

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def prepare(tmp_path, index):
    def run(*rounds, **options):
        request = {"state_directory": str(tmp_path / "state"), "uv": find_uv(),
                   "index_url": index.url, "rounds": list(rounds), **options}
        path = tmp_path / "request.json"
        path.write_text(json.dumps(request))
        done = subprocess.run([find_program(), path], capture_output=True, text=True, check=False,
                              timeout=600)
        assert done.returncode == 0, done.stderr
        run.log = done.stderr
        return json.loads(done.stdout)

    def one(*requirements, **options):
        request = {"requirements": list(requirements)}
        request |= {name: options.pop(name) for name in ("lock", "python_version", "code")
                    if name in options}
        return run([request], **options)[0][0]

    run.one = one
    run.log = ""
    return run


def listing(answer):
    return [(file["path"], file["sha256"]) for file in answer["files"]]


def test_a_package_and_what_it_needs_are_there(prepare, index):
    index.add("top", requires=["middle>=1,<2"])
    index.add("middle", "1.5", requires=["low; python_version > '3'"])
    index.add("middle", "2.0")
    index.add("low")
    index.add("other")
    made = prepare.one("top", code="import top, middle, low; print(middle.version, top.__file__)")
    assert made["stdout"] == "1.5 /opt/environment/top/__init__.py\n"
    assert made["exit_code"] == 0
    lock = made["lock"]
    assert (lock["format"], lock["python"], lock["base"]) == (1, PYTHON, {})
    assert [(p["name"], p["version"]) for p in lock["packages"]] == [
        ("low", "1.0"), ("middle", "1.5"), ("top", "1.0")]
    for package in lock["packages"]:
        data = index.files[package["name"]][package["wheel"]]
        assert package["sha256"] == hashlib.sha256(data).hexdigest()
        assert package["bytes"] == len(data)
    assert made["progress"] == [
        "resolving 1 requirement", "downloading 1 of 3", "downloading 2 of 3", "downloading 3 of 3",
        "building 1 of 3", "building 2 of 3", "building 3 of 3"]


def test_what_is_built_is_read_only_and_complete(prepare, index):
    index.add("tool", files={"tool/data/deep/er/x.txt": "x", "tool-1.0.data/purelib/extra.py": "",
                             "tool-1.0.data/scripts/run": "#!python\n"})
    made = prepare.one("tool")
    overlay = Path(made["overlay"])
    on_disk = {}
    for path in overlay.rglob("*"):
        mode = path.lstat().st_mode
        assert not mode & 0o222 and not mode & (stat.S_ISUID | stat.S_ISGID), path
        assert not stat.S_ISLNK(mode)
        if path.is_file():
            on_disk[str(path.relative_to(overlay))] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert on_disk == dict(listing(made))
    assert {"tool/data/deep/er/x.txt", "extra.py", "tool/__init__.py"} < set(on_disk)
    assert not [path for path in on_disk if "run" in path]
    assert any(path.startswith("tool/__pycache__/") for path in on_disk)


def test_the_same_lock_gives_the_same_files(prepare, index, tmp_path):
    index.add("top", requires=["low"], files={
        "top/sets.py": "X = {'a', 'b', 'c'}\ndef f(x): return x in {'d', 'e', 'f', 'g'}\n"})
    index.add("low", files={f"low/m{i}.py": f"import os\nV = ({i}, 'v{i}', {i}.5)\n"
                            for i in range(30)})
    first = prepare.one("top", state_directory=str(tmp_path / "a"))
    index.add("low", "2.0")  # newer, and not in the lock
    again = prepare.one(lock=first["lock"], state_directory=str(tmp_path / "b"))
    assert again["overlay"] != first["overlay"]
    assert again["lock"] == first["lock"]
    assert listing(again) == listing(first)
    assert prepare.one("top", state_directory=str(tmp_path / "c"))["lock"] != first["lock"]


def test_two_at_once_build_once_and_the_next_use_is_at_hand(prepare, index, tell):
    index.add("tool", requires=["more"])
    index.add("more")
    same = {"requirements": ["tool"], "hold": True}
    first, second = prepare([same, same, same], [same])
    assert len({made["overlay"] for made in first + second}) == 1
    assert sum("resolving 1 requirement" in made["progress"] for made in first) == 1
    assert sum("building 1 of 2" in made["progress"] for made in first) == 1
    assert second[0]["progress"] == []
    # 20 ms is the bar; a machine that is busy gets more.
    tell(f"second use: {second[0]['ms']} ms")


def test_a_later_process_uses_what_an_earlier_one_built(prepare, index):
    index.add("tool")
    first = prepare.one("tool")
    asked = len(index.requests)
    again = prepare.one("tool")
    assert again["overlay"] == first["overlay"] and again["progress"] == []
    assert len(index.requests) == asked


BASE = str(ROOT / ".venv/bin/python")
needs_base = pytest.mark.skipif(not os.path.exists(BASE), reason="needs .venv: ./dev setup")


@needs_base
def test_what_the_base_has_is_not_installed_again(prepare, index):
    index.add("wants-numpy", requires=["numpy>=1.20", "torch"])
    index.add("numpy", "99.0")
    made = prepare.one("wants-numpy", "numpy", python=BASE,
                       code="import numpy, wants_numpy; print(numpy.__file__)")
    assert [p["name"] for p in made["lock"]["packages"]] == ["wants-numpy"]
    assert {"numpy", "torch"} <= set(made["lock"]["base"])
    assert made["stdout"].startswith("/opt/venv/")
    nothing = prepare.one("numpy", "torch>=1", python=BASE)
    assert nothing["overlay"] == "" and nothing["lock"]["packages"] == []


@needs_base
def test_another_version_than_the_bases_comes_before_it(prepare, index):
    index.add("six", "0.1")
    made = prepare.one("six==0.1", python=BASE, code="import six; print(six.version)")
    assert made["stdout"] == "0.1\n"
    index.add("old", requires=["tqdm<1"])
    index.add("tqdm", "0.1")
    refused = prepare.one("old", python=BASE)  # the base's tqdm was not asked to go
    assert refused["code"] == "invalid_argument"
    assert "cannot be satisfied together" in refused["error"] and "tqdm<1" in refused["error"]


def test_a_version_conflict_shows_the_explanation(prepare, index):
    index.add("a", requires=["c<2"])
    index.add("b", requires=["c>=2"])
    index.add("c", "1.0")
    index.add("c", "2.0")
    refused = prepare.one("a", "b")
    assert refused["code"] == "invalid_argument"
    assert refused["error"].startswith("the requirements cannot be satisfied together: ")
    assert "c<2" in refused["error"] and "c>=2" in refused["error"]
    assert "No solution found" not in refused["error"]
    first, *more = refused["error"].split("\n")
    assert "c>=2" in first and more and all(re.match("  [^ ]", line) for line in more)


def test_a_package_that_does_not_exist(prepare):
    refused = prepare.one("no-such-package")
    assert refused["code"] == "invalid_argument"
    assert refused["error"].startswith("a package does not exist: ")
    assert "no-such-package" in refused["error"].split("\n")[0]


def test_a_package_of_source_code_only(prepare, index, tmp_path):
    import tarfile
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in {"PKG-INFO": "Metadata-Version: 2.1\nName: src\nVersion: 1.0\n",
                           "setup.py": "open('/work/ran', 'w'); raise SystemExit('RAN')"}.items():
            entry = tarfile.TarInfo(f"src-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    index.add_file("src", "src-1.0.tar.gz", data.getvalue())
    refused = prepare.one("src")
    assert refused["code"] == "invalid_argument"
    assert "source code only" in refused["error"] and "src" in refused["error"]
    assert "RAN" not in refused["error"]


@pytest.mark.parametrize(("requirement", "words"), [
    ("/tmp/x.whl", "the path of a file"), ("./x", "the path of a file"),
    ("https://e.example/x.whl", "an address"), ("x @ https://e.example/x.whl", "an address"),
    ("git+https://e.example/x", "the address of a repository"),
    ("--index-url=https://e.example", "an option"), ("x; import os", "marker"),
    ("x >>1", "is not a version")])
def test_what_is_no_package_of_the_index(prepare, index, requirement, words):
    refused = prepare.one(requirement)
    assert refused["code"] == "invalid_argument" and words in refused["error"]
    assert index.requests == []


def test_a_wrong_hash_of_what_the_index_serves(prepare, index, tmp_path):
    name, data = index.add("tool")
    lock = prepare.one("tool")["lock"]
    index.served[name] = data[:-1] + bytes([data[-1] ^ 1])
    refused = prepare.one(lock=lock, state_directory=str(tmp_path / "other"))
    assert refused["code"] == "invalid_argument"
    assert "wrong hash" in refused["error"] and name in refused["error"]


def test_a_lock_whose_hash_is_not_the_files(prepare, index, tmp_path):
    index.add("tool")
    lock = prepare.one("tool")["lock"]
    lock["packages"][0]["sha256"] = "0" * 64
    refused = prepare.one(lock=lock)
    assert refused["code"] == "invalid_argument" and "wrong hash" in refused["error"]
    lock["packages"][0]["name"] = "gone"
    lock["packages"][0]["wheel"] = "gone-1.0-py3-none-any.whl"
    assert "has no package gone" in prepare.one(lock=lock)["error"]


def test_a_lock_of_another_base_or_python(prepare, index):
    index.add("tool")
    lock = prepare.one("tool")["lock"]
    other = prepare.one(lock={**lock, "python": "3.9"})
    assert "is for Python 3.9" in other["error"]
    other = prepare.one(lock={**lock, "base": {"torch": "9.9"}})
    assert "is for torch 9.9; this node has none of it" in other["error"]
    other = prepare.one(lock={**lock, "platform": "linux_s390x"})
    assert "linux_s390x" in other["error"]
    other = prepare.one("tool", python_version="3.9")
    assert "asks for Python 3.9; this node has" in other["error"]


def test_a_pth_file_with_code_is_refused_and_one_with_paths_does_nothing(prepare, index):
    index.add("evil", files={"evil.pth": "# harmless\nimport os; os.system('touch /tmp/x')\n"})
    refused = prepare.one("evil")
    assert refused["code"] == "invalid_argument"
    assert "evil.pth" in refused["error"] and "import os" in refused["error"]
    index.add("plain", files={"plain.pth": "some/directory\n"})
    made = prepare.one("plain", code="import sys; print([p for p in sys.path if 'some' in p])")
    assert made["stdout"] == "[]\n"


EVIL = {
    "leads out": ({"../outside.py": "x"}, {}, "leads elsewhere"),
    "leads out below": ({"evil/../../outside.py": "x"}, {}, "leads elsewhere"),
    "absolute": ({"/etc/cron.d/x": "x"}, {}, "absolute path"),
    "a drive": ({"C:/x": "x"}, {}, "absolute path"),
    "a link": ({"evil/link": "/etc/passwd"}, {"evil/link": 0o120777}, "a link"),
    "a device": ({"evil/device": ""}, {"evil/device": 0o060666}, "a special file"),
    "setuid": ({"evil/su": "x"}, {"evil/su": 0o104755}, "setuid"),
    "control characters": ({"evil/a\x1b[2Jb": "x"}, {}, "not allowed"),
    "backslash": ({"evil\\x.py": "x"}, {}, "not allowed"),
    "file and directory": ({"evil/a": "x", "evil/a/b": "x"}, {}, "a file and a directory"),
}


@pytest.mark.parametrize("case", EVIL)
def test_an_evil_wheel_is_refused_by_its_name(prepare, index, case):
    files, modes, words = EVIL[case]
    index.add("evil", files=files, modes=modes)
    refused = prepare.one("evil")
    assert refused["code"] == "invalid_argument", refused
    assert words in refused["error"]


def test_a_file_twice_and_no_zip_at_all(prepare, index):
    name, data = make_wheel("twice")
    doubled = io.BytesIO(data)
    with zipfile.ZipFile(doubled, "a") as wheel, pytest.warns(UserWarning):
        wheel.writestr("twice/__init__.py", "other = 1")
    index.add_file("twice", name, doubled.getvalue())
    assert "holds a file twice" in prepare.one("twice")["error"]


def test_an_environment_has_limits(prepare, index):
    index.add("large", files={f"large/{i}.txt": os.urandom(2000).hex() for i in range(40)})
    refused = prepare.one("large", environment_bytes_max=100_000)
    assert refused["code"] == "invalid_argument" and "too large" in refused["error"]
    refused = prepare.one("large", files_max=20)
    assert refused["code"] == "invalid_argument"


def test_what_is_in_use_is_not_evicted(prepare, index, tmp_path):
    for name in "abcd":
        index.add(name, files={f"{name}/blob": os.urandom(150_000).hex()})
    held = {"requirements": ["a"], "hold": True}
    rounds = prepare([held], *[[{"requirements": [name]}] for name in "bcd"], [held],
                     [{"requirements": ["d"]}], [{"requirements": ["b"]}], bytes_max=700_000)
    a, b, _, d, a_again, d_again, b_again = (round_[0] for round_ in rounds)
    assert a_again["overlay"] == a["overlay"] and a_again["progress"] == []
    assert d_again["progress"] == []  # the newest stayed too
    assert "building 1 of 1" in b_again["progress"] and b_again["overlay"] == b["overlay"]
    assert Path(a["overlay"]).exists() and not list((tmp_path / "state").glob("**/evicted_*"))


def test_wheel_directories_of_the_operator(prepare, index, tmp_path):
    directory = tmp_path / "wheels"
    directory.mkdir()
    name, data = make_wheel("own", requires=["from-index"])
    (directory / name).write_bytes(data)
    (directory / name).chmod(0o600)
    index.add("from-index")
    made = prepare.one("own", wheel_directories=[str(directory)],
                       code="import own, from_index; print('both')")
    assert made["stdout"] == "both\n"
    assert made["progress"][1] == "downloading 1 of 1"
    without_index = prepare.one("own", wheel_directories=[str(directory)], index_url="",
                                state_directory=str(tmp_path / "other"))
    assert without_index["code"] == "invalid_argument" and "from-index" in without_index["error"]


def test_an_index_that_is_away_is_not_the_requests_fault(prepare, index):
    index.close()
    refused = prepare.one("tool")
    assert refused["code"] == "unavailable" and "package index cannot be asked" in refused["error"]
    index.server.socket.close()


def test_the_steps_reach_the_index_alone(prepare, index):
    """The index sends to another port of this machine: the proxy does not let it."""
    index.add("tool")
    name = next(iter(index.files["tool"]))
    other = f"http://127.0.0.1:9/{name}"
    original = index.answer

    def answer(request):
        if request.path == "/simple/tool/":
            body = f'<a href="{other}#sha256={"0" * 64}">{name}</a>'.encode()
            request.send_response(200)
            request.send_header("Content-Type", "text/html")
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        else:
            original(request)

    index.answer = answer
    refused = prepare.one("tool")
    assert refused["code"] == "unavailable"
    assert "environment.connection" in prepare.log and "it is not allowed" in prepare.log
    assert "127.0.0.1:9" in prepare.log


def index_answers():
    try:
        socket.create_connection(("pypi.org", 443), 5).close()
        return True
    except OSError:
        return False


@pytest.mark.skipif(not index_answers(), reason="pypi.org does not answer")
def test_the_public_index(prepare):
    made = prepare.one("humanize==4.9.0", index_url="https://pypi.org/simple",
                       code="import humanize; print(humanize.naturalsize(1e6))")
    assert made.get("stdout") == "1.0 MB\n", made
    package, = made["lock"]["packages"]
    assert package["wheel"] == "humanize-4.9.0-py3-none-any.whl"
    assert package["sha256"] == "ce284a76d5b1377fd8836733b983bfb0b76f1aa1c090de2566fcf008d7f6ab16"
