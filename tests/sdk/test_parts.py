# SPDX-License-Identifier: Apache-2.0
"""Ids, configuration, event streams, the private network's process, the calls of a job's code."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import bcai
import pytest
from bcai import config, local
from bcai.ids import is_job_id, make_job_id
from bcai.sse import EventParser, ServerEvent
from fake_coordinator import KEY, wait_until

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def test_ids_hold_the_time_and_sort_by_it() -> None:
    before = time.time_ns() // 1_000_000
    ids = [make_job_id() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert len(set(ids)) == 1000
    for id in ids:
        assert is_job_id(id)
        number = 0
        for character in id.removeprefix("job_"):
            number = number * 32 + ALPHABET.index(character)
        assert before <= number >> 80 <= after
    time.sleep(0.002)
    assert make_job_id() > max(ids)


@pytest.mark.parametrize(
    "text", ["", "job_", "job_" + "8" * 26, "job_" + "0" * 25, "att_" + "0" * 26, "job_" + "u" * 26]
)
def test_what_is_no_id(text: str) -> None:
    assert not is_job_id(text)
    with pytest.raises(bcai.InvalidArgument if text else TypeError):
        bcai.SDK("http://x").create_job("pass" if text else None, id=text or None)


def write_config(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "bcai" / "config.yaml"
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nowhere"}


def test_where_endpoint_and_key_come_from(tmp_path: Path) -> None:
    environment = write_config(
        tmp_path,
        '---\n# by bcai\nendpoint: https://file.example/\napi_key: "bcai_f_1"  \npython: "/p"\n',
    )
    from_file = config.Target("https://file.example", "bcai_f_1")
    assert config.resolve(None, None, environment=environment) == from_file
    assert config.resolve("https://file.example", None, environment=environment) == from_file
    assert config.resolve(None, "bcai_a_2", environment=environment) == (
        config.Target("https://file.example", "bcai_a_2")
    )
    # The file's key is for the file's endpoint alone.
    assert config.resolve("https://other", None, environment=environment) == (
        config.Target("https://other", None)
    )
    environment["BCAI_ENDPOINT"] = "http://127.0.0.1:1"
    assert config.resolve(None, None, environment=environment) == (
        config.Target("http://127.0.0.1:1", None)
    )
    environment["BCAI_API_KEY"] = "bcai_e_3"
    assert config.resolve(None, None, environment=environment) == (
        config.Target("http://127.0.0.1:1", "bcai_e_3")
    )
    assert config.resolve("unix:/run/b", "k", environment=environment) == (
        config.Target("unix:/run/b", "k")
    )


def test_no_endpoint_is_this_machine(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nowhere"}
    assert config.resolve(None, None, environment=environment) is None
    assert (
        config.resolve(None, None, environment=write_config(tmp_path, "endpoint: null\n")) is None
    )
    assert config.config_path({"HOME": "/h"}) == Path("/h/.config/bcai/config.yaml")


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(config.Target("http://x", "bcai_secret"))


@pytest.mark.parametrize("text", ["endpoint", "endpoint: {a: 1\n  b", 'api_key: "un', "- a\n"])
def test_a_config_file_of_another_form(tmp_path: Path, text: str) -> None:
    environment = write_config(tmp_path, text)
    if text.startswith("endpoint: {"):
        text += "\n"
    with pytest.raises(bcai.InvalidArgument, match=r"config.yaml:\d"):
        config.resolve(None, None, environment=environment)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:8080", "ftp://x", "http://", "unix:socket"])
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(bcai.InvalidArgument, match="expected http"):
        bcai.SDK(endpoint)


STREAM = (
    ": hello\r\n\r\n"
    'event: log\nid: a:1\ndata: {"text": "größer"}\n\n'
    "data:one\ndata: two\r\ndata\r\r"
    "id\nevent: end\ndata: x\n\n"
    "event: lost\n\ndata: unfinished\n"
).encode()
EVENTS = [
    ServerEvent("log", '{"text": "größer"}', "a:1"),
    ServerEvent("message", "one\ntwo\n", "a:1"),
    ServerEvent("end", "x", ""),
]


def test_event_streams_in_pieces() -> None:
    assert EventParser().feed(STREAM) == EVENTS
    choice = random.Random(1)
    for _ in range(200):
        parser, events, at = EventParser(), [], 0
        while at < len(STREAM):
            size = choice.randint(1, 7)
            events += parser.feed(STREAM[at : at + size])
            at += size
        assert events == EVENTS


def test_an_event_without_end_is_refused() -> None:
    parser = EventParser()
    with pytest.raises(ValueError, match="16 MiB"):
        for _ in range(20):
            parser.feed(b"data: " + b"x" * (1 << 20) + b"\n")


CALLS = {
    "output()": "None",
    "output('loss', 0.5)": "None",
    "output(loss=0.5, accuracy=1)": "None",
    "output('a')": "TypeError",
    "output('a', 1, 2)": "TypeError",
    "output(7, 1)": "TypeError",
    "output('', 1)": "TypeError",
    "output('x' * 257, 1)": "TypeError",
    "progress(0.5, 'half')": "None",
    "progress(1)": "None",
    "progress(None, 'loading')": "None",
    "progress(1.5, 7)": "None",
    "progress(float('nan'))": "ValueError",
    "progress('half')": "TypeError",
    "log_metric('loss', float('nan'), step=3)": "None",
    "log_metric('loss', 1, 2.0)": "None",
    "log_metric('', 1)": "TypeError",
    "log_metric('x' * 129, 1)": "TypeError",
    "log_metric('loss', 'low')": "TypeError",
    "log_metric('loss', 1, 2**54)": "ValueError",
}
EVALUATE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import bcai
for call in json.load(sys.stdin):
    try:
        print(eval(call, vars(bcai)))
    except Exception as error:
        print(type(error).__name__)
"""
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("package", ["python", "src/sandbox/python"])
def test_calls_of_a_job_are_the_same_outside_and_inside(package: str) -> None:
    control = os.memfd_create("control")
    done = subprocess.run(
        ["bash", "-c", f'exec 3<&{control}; exec "$@"', "bash"]
        + [sys.executable, "-c", EVALUATE, str(ROOT / package)],
        input=json.dumps(list(CALLS)),
        pass_fds=[control],
        capture_output=True,
        text=True,
    )
    os.close(control)
    assert dict(zip(CALLS, done.stdout.splitlines(), strict=True)) == CALLS, done.stderr


def program(tmp_path: Path, body: str) -> Path:
    """A stand-in for ``bcai``: a script that notes its pid and then does ``body``."""
    path = tmp_path / "bcai"
    head = f"""\
        #!{sys.executable}
        import json, os, sys
        sys.path[:0] = {[str(Path(__file__).parent)]!r}
        assert sys.argv[1:3] == ["local", "--socket"], sys.argv
        open({str(tmp_path / "pids")!r}, "a").write(f"{{os.getpid()}}\\n")
    """
    path.write_text(textwrap.dedent(head) + textwrap.dedent(body))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


SERVE = """
    from fake_coordinator import KEY, FakeCoordinator
    fake = FakeCoordinator(lambda job: job.end(outputs={"loss": 1}), unix_path=sys.argv[3])
    print(os.environ["BCAI_PYTHON"], file=open(os.path.dirname(__file__) + "/python", "w"))
    print(json.dumps({"endpoint": fake.endpoint, "api_key": KEY}), flush=True)
    sys.stdin.read()
    fake.close()
"""


def pids(tmp_path: Path) -> list[int]:
    return [int(line) for line in (tmp_path / "pids").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_private_network_starts_once_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BCAI_PROGRAM", str(program(tmp_path, SERVE)))
    with bcai.SDK() as client:
        assert not (tmp_path / "pids").exists()
        assert client.create_job("pass").execute().outputs["loss"] == 1
        with bcai.SDK() as other:
            assert other.create_job("pass").execute().outputs["loss"] == 1
        assert client.whoami()["role"] == "owner"
    (pid,) = pids(tmp_path)
    assert not alive(pid)
    assert (tmp_path / "python").read_text() == f"{sys.executable}\n"
    write_config(tmp_path / "config", "python: /other/python\n")
    with bcai.SDK() as client:
        client.whoami()
        os.kill(pids(tmp_path)[1], signal.SIGKILL)
    assert (tmp_path / "python").read_text() == "/other/python\n"
    monkeypatch.setenv("BCAI_PYTHON", "/third/python")
    with bcai.SDK() as client:
        client.whoami()
    assert (tmp_path / "python").read_text() == "/third/python\n"
    assert len(pids(tmp_path)) == 3
    assert not any(alive(pid) for pid in pids(tmp_path))


@pytest.mark.parametrize("end", ["pass", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_the_private_network_ends_with_its_process(tmp_path: Path, end: str) -> None:
    code = f"import bcai, os; client = bcai.SDK(); print(client.whoami()['name']); {end}"
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "BCAI_PROGRAM": str(program(tmp_path, SERVE)),
        "PYTHONPATH": str(Path(bcai.__file__).parents[1]),
    }
    done = subprocess.run([sys.executable, "-uc", code], env=environment, capture_output=True)
    assert done.stdout == b"me\n", done.stderr
    (pid,) = pids(tmp_path)
    wait_until(lambda: not alive(pid))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.exit('runc is missing')", "exit code 1\nrunc is missing"),
        ("print('{}', flush=True); sys.stdin.read()", "said nothing usable"),
    ],
)
def test_a_private_network_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    monkeypatch.setenv("BCAI_PROGRAM", str(program(tmp_path, body)))
    with bcai.SDK() as client, pytest.raises(bcai.FailedPrecondition, match=message):
        client.whoami()
    assert not alive(pids(tmp_path)[0])


def test_no_program_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BCAI_PROGRAM", str(tmp_path / "no"))
    with pytest.raises(bcai.FailedPrecondition, match="No such file"):
        bcai.SDK().whoami()
    monkeypatch.delenv("BCAI_PROGRAM")
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(bcai.FailedPrecondition, match="BCAI_ENDPOINT"):
        bcai.SDK().whoami()


def test_a_forked_child_leaves_the_network_to_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BCAI_PROGRAM", str(program(tmp_path, SERVE)))
    target = local.acquire()
    child = os.fork()
    if child == 0:
        local._stop_at_exit()
        os._exit(0)
    os.waitpid(child, 0)
    assert alive(pids(tmp_path)[0])
    with bcai.SDK(target.endpoint, KEY) as client:
        client.whoami()
    local.release()
    assert not alive(pids(tmp_path)[0])
