# SPDX-License-Identifier: Apache-2.0
"""Secrets in the sandbox: the job has them, and nothing that it writes shows them."""
import hashlib
import json
import sys
import textwrap

import pytest
from sandbox_host import has_runsc
from sandbox_program import lines, run_tasks

# What an uncaught exception shows of it is in repr() and in the text.
SECRETS = {"TOKEN": "tok-\u00e9'\"\\n\n-4711", "WORD": "hunter22",
           "KEY": "-----BEGIN-----\nMIIEvQIBADAN\n-----END-----\n"}

CODE = textwrap.dedent("""
    import numpy
    import hashlib, json, os, sys
    import bcai
    token, key = os.environ["TOKEN"], os.environ["KEY"]
    print(json.dumps({n: hashlib.sha256(os.environ[n].encode()).hexdigest()
                      for n in ("TOKEN", "WORD", "KEY")}))
    print(json.dumps({"environ": any(v.encode() in open(f"/proc/{pid}/environ", "rb").read()
                                     for v in (token, key)
                                     for pid in os.listdir("/proc") if pid.isdigit()
                                     and os.access(f"/proc/{pid}/environ", os.R_OK)),
                      "stdin": sys.stdin.read(),
                      "in": any(v in open(f"/in/{name}").read()
                                for v in (token, key) for name in os.listdir("/in"))}))
    print(token, repr(token), json.dumps(token), [key])
    print(key, file=sys.stderr)
    for part in (token[:5], token[5:]):
        sys.stdout.write(part)
        sys.stdout.flush()
    del part  # a variable is an output, and a part of a value is none
    print()
    bcai.progress(0.5, "x" * 250 + token)
    bcai.log_metric(token, 1.0)
    bcai.output(plain=token, listed=[key], **{token: 1})
    bcai.output(tensor=numpy.frombuffer(token.encode(), dtype=numpy.uint8))
    open("outputs/clean.txt", "w").write("clean")
    open("outputs/token.txt", "w").write("x" * 262_140 + token)
    os.mkdir("outputs/" + os.environ["WORD"])
    open("outputs/" + os.environ["WORD"] + "/name.txt", "w").write("clean")
    raise RuntimeError(token) from KeyError(key)
    """)


HIGH = pytest.param("high", marks=pytest.mark.skipif(not has_runsc(), reason="no runsc"))


@pytest.mark.parametrize("start", ["cold", "warm", HIGH])
def test_a_job_has_its_secrets_and_shows_none(tmp_path, start):
    run, = run_tasks(tmp_path, [{"code": CODE, "secrets": SECRETS}], start=start,
                     python=sys.executable)
    said = lines(run)
    assert said[0] == {name: hashlib.sha256(value.encode()).hexdigest()
                       for name, value in SECRETS.items()}
    assert said[1] == {"environ": False, "stdin": "", "in": False}
    assert "\n*** '***' \"***\" ['***\\n']\n***\n" in run["stdout"]
    report = run["report"]
    assert [artifact["name"] for artifact in report["artifacts"]] == ["outputs/clean.txt"]
    left_out = {item["name"]: item["reason"] for item in report["left_out"]}
    assert left_out == {"outputs/token.txt": "it holds the value of a secret",
                        "outputs.safetensors": "it holds the value of a secret",
                        "outputs/***/name.txt": "its name holds the value of a secret"}
    assert report["outputs"]["outputs"]["plain"] == "***"
    assert report["outputs"]["error"]["message"] == "***"
    assert "KeyError: '***" in report["outputs"]["error"]["traceback"]
    assert "RuntimeError: ***" in run["stderr"]
    assert any(message.get("progress", {}).get("message", "").startswith("xxx")
               for message in run["messages"])
    for value in (b"4711", b"MIIEvQ", b"tok-", b"hunter"):
        assert value not in json.dumps(run).encode()
        for path in (tmp_path / "artifacts").rglob("*"):
            assert not path.is_file() or value not in path.read_bytes()


def test_a_process_that_the_job_starts_gets_them_from_the_job_alone(tmp_path):
    code = textwrap.dedent("""
        import os, sys
        if os.fork() == 0:
            print(len(os.environ["TOKEN"]), flush=True)
            os._exit(0)
        os.wait()
        """)
    run, = run_tasks(tmp_path, [{"code": code, "secrets": SECRETS}])
    assert run["stdout"] == f"{len(SECRETS['TOKEN'])}\n"


def test_secrets_that_cannot_be_set_are_refused(tmp_path):
    runs = run_tasks(tmp_path, [
        {"code": "1", "secrets": {"EMPTY": ""}},
        {"code": "1", "secrets": {"NUL": "a\0b"}},
        {"code": "1", "secrets": {f"N{i}": "x" * 65536 for i in range(5)}},
        {"native": ["vm", "isa"], "secrets": {"TOKEN": "text"}}])
    details = [run["report"]["detail"] for run in runs]
    assert "secret 'EMPTY' cannot be set" in details[0]
    assert "secret 'NUL' cannot be set" in details[1]
    assert "the secrets take 327700 bytes, at most 262144 are possible" in details[2]
    assert details[3] == "a native task has no secrets"


@pytest.mark.parametrize("start", ["cold", HIGH])
def test_the_most_that_is_allowed_arrives(tmp_path, start):
    secrets = {f"N{i}": chr(97 + i) * 65000 for i in range(4)}
    code = textwrap.dedent("""
        import os
        names = sorted(name for name in os.environ if name[0] == "N" and name[1:].isdigit())
        print([(name, len(os.environ[name]), os.environ[name][0]) for name in names])
        """)
    run, = run_tasks(tmp_path, [{"code": code, "secrets": secrets}], start=start)
    assert run["stdout"] == str([(n, 65000, v[0]) for n, v in secrets.items()]) + "\n"
