# SPDX-License-Identifier: Apache-2.0
"""Every command in the documentation works: each line of a shell block is run as it is written,
on the network that `bcai up`, as the README has it, starts; and what running text quotes exists.

The network has a network namespace of its own, so that the documented port is free. A line begins
in a directory with the files that the documentation speaks of. A new line is run too: it must end
with 0, or be listed below.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import liar
import numpy
import pytest
from machine import (
    MARK,
    ROOT,
    assert_nothing_left,
    clean_environment,
    find_program,
    wait_until,
    walkable,
)

PROJECT = ROOT / "src" / "cli" / "project"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    PROJECT / "README.md",
]
SHELL = {"sh", "console"}
LANGUAGES = SHELL | {"python", "yaml", "json", "text"}
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Not run here, and why; that they exist is checked.
NOT_RUN = {
    "./dev quickstart": "builds a release; test_snippets.py runs the same example",
    "./dev test": "runs this test",
}


def needs_two_nodes(at: Terminal) -> bool:
    """There is one: it waits and says so."""
    return "needs 2 nodes" in at.log.read_text()


# They go on until they are stopped: what tells that they work, and their exit code then.
UNTIL_STOPPED: dict[str, tuple[Callable[[Terminal], bool], int]] = {
    "bcai node deploy --config production.yaml": (
        lambda at: len(at.read("bcai nodes --json")["nodes"]) == 2,
        0,
    ),
    # Nobody has a GPU to offer: it waits and says so.
    "bcai run train.py --gpu 1 --memory 8GB --timeout 2h --env MODE=fast --file data.csv"
    " -- --epochs 10": (lambda at: "no node offers a GPU" in at.log.read_text(), 130),
    "bcai run model.bcvm --input x=x.npy --replicas 2": (needs_two_nodes, 130),
    "bcai run model.bcvm --input x.npy --replicas 2": (needs_two_nodes, 130),
}
EXIT_CODES = {"bcai doctor": {0, 1}}  # 1: this machine lacks something
LOOPBACK_UP = (
    "import fcntl, socket, struct\n"
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 0x41))"  # SIOCSIFFLAGS
)


def blocks(page: Path) -> list[tuple[str, str]]:
    return FENCE.findall(page.read_text())


def commands() -> list[str]:
    """Each shell line once, without its comment, continued lines as one."""
    found = []
    for page in PAGES:
        for language, text in blocks(page):
            if language not in SHELL:
                continue
            for line in text.replace("\\\n", " ").splitlines():
                if language == "console" and not line.startswith("$ "):
                    continue
                line = re.sub(r"(^|\s)#.*", "", line.removeprefix("$ ")).strip()
                found.append(re.sub(r"\s+", " ", line))
    return sorted({line for line in found if line})


def quoted() -> list[str]:
    """What running text quotes."""
    found = set()
    for page in PAGES:
        text = re.sub(r"\s*\n\s*", " ", FENCE.sub("", page.read_text()))
        found |= set(re.findall(r"`((?:bcai|\./dev) [^`]+)`", text))
    return sorted(found)


class Terminal:
    """One in which `bcai up` runs, and others beside it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.mark = uuid.uuid4().hex
        self.log = home / "log"
        program = find_program()
        assert program is not None
        (home / "bin").mkdir()
        (home / "bin" / "bcai").symlink_to(program.resolve())
        self.environment = clean_environment(home, BCAI_PYTHON=sys.executable, **{MARK: self.mark})
        path = [str(home / "bin"), str(Path(sys.executable).parent), self.environment["PATH"]]
        self.environment["PATH"] = ":".join(path)
        script = '"$0" -c "$1" && exec bcai up'
        up = ["unshare", "--net", "sh", "-c", script, sys.executable, LOOPBACK_UP]
        self.network = self.start(up, home)
        self.inside = ["nsenter", f"--net=/proc/{self.network.pid}/ns/net", "bash", "-c"]
        try:
            wait_until(self.ready, 120, "the network is ready")
        except AssertionError:
            self.network.kill()
            raise

    def ready(self) -> bool:
        assert self.network.poll() is None, self.log.read_text()
        return "endpoint" in self.log.read_text()

    def start(self, command: list[str], cwd: Path) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command, cwd=cwd, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def run(self, line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.inside, line], cwd=cwd, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def read(self, line: str) -> Any:
        done = self.run(line, self.home)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    home = tmp_path_factory.mktemp("docs")
    walkable(home)
    made = Terminal(home)
    key = made.read("bcai keys create --name docs --role node --json")["key"]
    (home / "production.yaml").write_text(
        f"coordinator: http://127.0.0.1:8080\nkey: {key}\n"
        f"data_directory: {home / 'node'}\npython: {sys.executable}\n"
    )
    yield made
    made.network.send_signal(signal.SIGINT)
    assert made.network.wait(timeout=30) == 0
    assert_nothing_left(home, [made.mark])


@pytest.fixture
def desk(tmp_path: Path, terminal: Terminal) -> Path:
    """A directory with the files that the documentation speaks of."""
    shutil.copy(PROJECT / "train.py", tmp_path)
    shutil.copy(terminal.home / "production.yaml", tmp_path)
    (tmp_path / "data.csv").write_text("1,2\n")
    (tmp_path / "model.bcasm").write_text(liar.PROGRAM)
    x = numpy.ones((4, 4), numpy.float32)
    numpy.save(tmp_path / "x.npy", x)
    (tmp_path / "model.safetensors").write_bytes(liar.safetensors("w", x))
    done = terminal.run("bcai vm as model.bcasm", tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.mark.parametrize("line", [line for line in commands() if line not in {"bcai up", *NOT_RUN}])
def test_a_command_of_the_documentation(line: str, terminal: Terminal, desk: Path) -> None:
    pytest.importorskip("torch", reason="needs torch in the base environment: ./dev setup")
    if line not in UNTIL_STOPPED:
        done = terminal.run(line, desk)
        assert done.returncode in EXIT_CODES.get(line, {0}), done.stdout + done.stderr
        return
    works, code = UNTIL_STOPPED[line]
    process = terminal.start([*terminal.inside, f"exec {line}"], desk)
    try:
        wait_until(lambda: works(terminal) or process.poll() is not None, 120, line)
        assert process.poll() is None, terminal.log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        ended = process.wait(timeout=60)
    assert ended == code, terminal.log.read_text()


def help_of(*words: str) -> str:
    program = ["./dev"] if words[0] == "./dev" else [str(find_program())]
    done = subprocess.run(
        [*program, *words[1:], "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("command", sorted({*quoted(), *NOT_RUN} - {"bcai help exit-codes"}))
def test_what_is_quoted_exists(command: str) -> None:
    program, *words = command.split()
    path = [program]
    text = help_of(*path)
    while words and re.fullmatch(r"[a-z-]+", words[0]):
        if len(path) > 1 and "Subcommands:" not in text:
            break
        assert re.search(rf"^ +{words[0]}\b", text, re.MULTILINE), f"{path} has no '{words[0]}'"
        path.append(words.pop(0))
        text = help_of(*path)
    for word in words:
        option = word.strip("[]")
        if re.fullmatch(r"--?[a-z][a-z-]*", option):
            assert re.search(rf"[ ,]{option}\b", text), f"{path} has no {option}"


def test_the_exit_codes_are_those_of_the_program(terminal: Terminal) -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    told = terminal.run("bcai help exit-codes", terminal.home).stdout
    codes = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    assert codes and codes == re.findall(r"^ *(\d+)\b", told, re.MULTILINE)


def test_each_block_has_a_language_that_is_known() -> None:
    for page in PAGES:
        assert not re.search("```|~~~", FENCE.sub("", page.read_text())), f"{page}: a block within"
        for language, text in blocks(page):
            assert language in LANGUAGES, f"{page}: a block of '{language}'"
            if language not in SHELL:
                assert not re.search(r"^\$? ?(bcai|\./dev) ", text, re.MULTILINE), page


def test_the_lists_name_what_is_there() -> None:
    assert {"bcai up", *NOT_RUN, *UNTIL_STOPPED, *EXIT_CODES} <= set(commands())
