# SPDX-License-Identifier: Apache-2.0
"""How a job's code is run, and how it ends."""
import json
import re
import signal
import subprocess
import textwrap
import time

import pytest

PYTHON = "/usr/bin/python3"


# --- running ---------------------------------------------------------------------------------


def test_first_job(job):
    ran = job.run("""\
        import torch
        import torch.nn as nn
        model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        x = torch.randn(1000, 784)
        y = torch.randint(0, 10, (1000,))
        for epoch in range(10):
            pred = model(x)
            loss = nn.CrossEntropyLoss()(pred, y)
            loss.backward()
        print(f"Final loss: {loss.item()}")
        """, restricted=True)
    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout == f"Final loss: {ran.outputs['loss']}\n"
    assert 1.5 < ran.outputs["loss"] < 4
    assert ran.outputs["epoch"] == 9
    assert "torch.save" in ran.left_out["model"]
    tensors = ran.tensors()
    assert sorted(tensors) == ["pred", "x", "y"]
    assert tensors["pred"].shape == (1000, 10) and tensors["y"].dtype.is_signed
    assert ran.error is None


def test_main_is_like_a_script(job):
    ran = job.run("""\
        import sys, os
        assert __name__ == "__main__" and __package__ is None
        assert __file__ == os.path.join(os.getcwd(), "train.py")
        assert sys.modules["__main__"].__dict__ is globals()
        assert sys.argv == ["train.py", "--rate", "0.1"]
        assert os.getcwd() == sys.path[0]
        assert __builtins__ is sys.modules["builtins"]
        print("é", end="")
        print("to stderr", file=sys.stderr)
        exit(7)
        """, filename="train.py", arguments=["--rate", "0.1"])
    assert (ran.exit_code, ran.stdout, ran.stderr) == (7, "é", "to stderr\n")
    assert ran.messages == [{"started": True}]


def test_little_is_imported_before_the_job(job):
    ran = job.run("import sys\nseen = sorted(m for m in sys.modules if '.' not in m)")
    slow = {"os", "json", "re", "ast", "inspect", "traceback", "linecache", "typing", "dataclasses",
            "enum", "signal", "collections", "functools", "contextlib", "threading", "struct"}
    assert not slow & set(ran.outputs["seen"])


@pytest.mark.parametrize("code, exit_code, stderr", [
    ("raise SystemExit", 0, ""),
    ("raise SystemExit(3)", 3, ""),
    ("raise SystemExit(-1)", 255, ""),
    ("raise SystemExit('no data')", 1, "no data\n"),
    ("import sys; sys.exit(256)", 0, ""),
    ("import os; os._exit(9)", 9, ""),
    ("import os; os.kill(os.getpid(), 9)", 137, ""),
    ("import os; os.abort()", 134, ""),
])
def test_exit_codes(job, code, exit_code, stderr):
    ran = job.run(code)
    assert (ran.exit_code, ran.stderr) == (exit_code, stderr)


def test_segfault(job):
    assert job.run("import ctypes; ctypes.string_at(0)").exit_code == 139


# --- exceptions ------------------------------------------------------------------------------


def plain_python(tmp_path, code, name):
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / name).write_text(textwrap.dedent(code))
    run = subprocess.run([PYTHON, "-I", "-S", name], cwd=tmp_path / "plain", capture_output=True,
                         check=False)
    # A script's path is shown in full by Python 3.9 and later.
    return run.stderr.decode().replace(str(tmp_path / "plain") + "/", "")


@pytest.mark.parametrize("code", [
    "def f(x):\n    return 1 / x\n\nf(0)\n",
    "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('bad') from e\n",
    "try:\n    {}['a']\nexcept KeyError:\n    int('x')\n",
    "x = (1,\n",
    "def f():\n    return 1\nreturn 2\n",
    "x = 1\n  y = 2\n",
    "raise ExceptionGroup('many', [ValueError('a'), TypeError('b')])\n",
    "def f():\n    f()\nf()\n",
    "class E(Exception):\n    pass\ne = E('x')\ne.add_note('look here')\nraise e\n",
    "assert 1 == 2, 'no'\n",
    "import json\njson.loads('{')\n",
])
def test_traceback_is_that_of_plain_python(job, tmp_path, code):
    expected = plain_python(tmp_path, code, "train.py")
    ran = job.run(code, filename="train.py")
    # How deep a recursion got depends on what called the code.
    counts = re.compile(r"repeated \d+ more")
    assert counts.sub("", ran.stderr) == counts.sub("", expected)
    assert ran.exit_code == 1
    assert ran.error["traceback"] == ran.stderr


def test_error_report(job):
    ran = job.run("a = 5\n\ndef f():\n    raise ValueError('bad value')\n\nf()\nb = 6\n")
    assert ran.error["type"] == "ValueError"
    assert ran.error["message"] == "bad value"
    assert ran.error["line"] == 4
    assert ran.outputs == {"a": 5}


def test_syntax_error_report(job):
    ran = job.run("a = 5\nb = (\n")
    assert ran.error["type"] == "SyntaxError" and ran.error["line"] == 2
    assert ran.exit_code == 1 and "'(' was never closed" in ran.stderr


def test_nul_byte(job):
    ran = job.run(b"a = 1\0\n")
    assert ran.exit_code == 1 and "null bytes" in ran.stderr


def test_source_is_known_to_inspect_and_warnings(job):
    ran = job.run("""\
        import inspect, warnings
        def f():
            return "me"
        source = inspect.getsource(f)
        warnings.warn("careful")
        """)
    assert ran.outputs["source"] == 'def f():\n    return "me"\n'
    assert 'warnings.warn("careful")' in ran.stderr


def test_own_source(job):
    code = """\
import inspect, linecache, pathlib
class Model:
    pass
read = open(__file__).read()
beside = pathlib.Path(__file__).resolve().parent == pathlib.Path.cwd()
line = linecache.getline(__file__, 2)
source = inspect.getsource(Model)
"""
    ran = job.run(code, filename="train.py")
    assert ran.outputs == {"read": code, "beside": True, "line": "class Model:\n",
                           "source": "class Model:\n    pass\n"}


@pytest.mark.parametrize("harm", ["os.remove(__file__)", "open(__file__, 'w').write('x = ')",
                                  "os.remove(__file__); os.symlink('/etc/passwd', __file__)"])
def test_a_job_may_lose_its_source(job, harm):
    code = f"""\
import inspect, multiprocessing, os
def square(x):
    return x * x
class Model:
    pass
if __name__ == "__main__":
    {harm}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        squares = pool.map(square, range(3))
    source = inspect.getsource(Model)
    raise ValueError("after all")
"""
    ran = job.run(code, filename="train.py")
    assert ran.exit_code == 1 and ran.error["line"] == 11
    assert 'File "train.py", line 11, in <module>\n    raise ValueError("after all")' in ran.stderr
    assert ran.outputs == {"squares": [0, 1, 4], "source": "class Model:\n    pass\n"}


def test_own_excepthook(job):
    ran = job.run("""\
        import sys
        sys.excepthook = lambda kind, error, tb: print("hooked", kind.__name__, tb.tb_lineno)
        1 / 0
        """)
    assert ran.stdout == "hooked ZeroDivisionError 3\n" and ran.stderr == ""
    assert ran.error["type"] == "ZeroDivisionError" and ran.exit_code == 1


def test_keyboard_interrupt(job):
    ran = job.run("raise KeyboardInterrupt")
    assert ran.exit_code == 130


def test_exception_without_message(job):
    ran = job.run("""\
        class Bad(Exception):
            def __str__(self):
                raise RuntimeError
        raise Bad
        """)
    assert ran.exit_code == 1 and ran.error["type"] == "Bad"
    assert ran.error["message"] == "(its message could not be read)"


def test_huge_message_is_cut(job):
    ran = job.run("raise ValueError('x' * 10_000_000)")
    assert len(ran.error["message"]) == 16_384 and len(ran.error["traceback"]) < 65_536


# --- processes, threads, ends ----------------------------------------------------------------


def test_sigterm_collects_and_ends_with_143(job):
    process = job.start("""\
        import time
        step = 41
        print("ready", flush=True)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
        """)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    ran = job.end(process, timeout=10)
    assert ran.exit_code == 143 and ran.outputs["step"] == 41


def test_multiprocessing(job):
    ran = job.run("""\
        import multiprocessing, os, signal
        def square(x):
            return x * x
        def file_of(_):
            return __file__
        if __name__ == "__main__":
            with multiprocessing.Pool(2) as pool:
                squares = pool.map(square, range(5))
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                spawned = pool.map(square, range(5))
                same_file = pool.map(file_of, [0]) == [__file__]
            child = multiprocessing.Process(target=signal.pause)
            child.start()
            child.terminate()
            child.join()
            code = child.exitcode
        """)
    assert ran.exit_code == 0, ran.stderr
    assert ran.outputs["squares"] == ran.outputs["spawned"] == [0, 1, 4, 9, 16]
    assert ran.outputs["same_file"] is True
    assert ran.outputs["code"] == -15


def test_data_loader_workers(job):
    ran = job.run("""\
        import torch
        from torch.utils.data import DataLoader, TensorDataset
        data = TensorDataset(torch.arange(8.0))
        total = 0.0
        for (batch,) in DataLoader(data, batch_size=2, num_workers=2):
            total += batch.sum().item()
        """, restricted=True)
    assert ran.outputs["total"] == 28.0, ran.stderr


def test_a_fork_that_comes_back_does_not_write_outputs(job):
    ran = job.run("""\
        import os
        who = "parent"
        pid = os.fork()
        if pid == 0:
            who = "child"
        else:
            status = os.waitpid(pid, 0)[1]
        """)
    assert ran.outputs["who"] == "parent" and ran.outputs["status"] == 0


def test_subprocess_and_orphans(job):
    ran = job.run("""\
        import os, subprocess, time
        result = subprocess.run(["/bin/sh", "-c", "(sleep 0.1 &) ; exit 3"]).returncode
        """)
    assert ran.outputs["result"] == 3


def test_threads_are_joined_and_exit_functions_run(job):
    ran = job.run("""\
        import atexit, sys, threading, time, bcai
        def work():
            time.sleep(0.2)
            globals()["late"] = 1
            sys.exit(5)
        threading.Thread(target=work).start()
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        atexit.register(print, "bye")
        atexit.register(lambda: bcai.output("last", 2))
        """)
    assert ran.exit_code == 0 and ran.stdout == "bye\n"
    assert ran.outputs == {"late": 1, "last": 2}


def test_open_files_are_flushed(job):
    ran = job.run("""\
        import zipfile
        file = open("a.txt", "w")
        file.write("text")
        archive = zipfile.ZipFile("b.zip", "w")
        archive.writestr("x", "y")
        def keep():
            f = open("c.txt", "w")
            f.write("text")
            keep.f = f
        keep()
        """)
    work = job.directory / "work"
    assert ran.exit_code == 0
    assert (work / "a.txt").read_text() == (work / "c.txt").read_text() == "text"
    import zipfile
    assert zipfile.ZipFile(work / "b.zip").namelist() == ["x"]


def test_sigterm_while_in_a_long_exit(job):
    process = job.start("""\
        import atexit, time
        x = 1
        @atexit.register
        def leave():
            print("leaving", flush=True)
            for _ in range(600):
                time.sleep(0.1)
        """)
    assert process.stdout.readline() == b"leaving\n"
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    ran = job.end(process, timeout=30)
    assert ran.exit_code == 143 and ran.outputs == {"x": 1}
    assert time.monotonic() - started < 20


# --- secrets -------------------------------------------------------------------------------------


def test_secrets_are_variables_and_standard_input_is_empty(job):
    ran = job.run("import os, sys; print(os.environ['TOKEN'], os.environ['KEY'], sys.stdin.read())",
                  secrets={"TOKEN": "hunter22", "KEY": "\u00e9\n"})
    assert ran.stdout == "hunter22 \u00e9\n \n"


def test_without_all_of_its_secrets_a_job_does_not_run(job):
    ran = job.run("print(1)", secrets={"TOKEN": "a", "KEY": "b"}, sent={"TOKEN": "a"})
    assert ran.exit_code != 0 and ran.stdout == ""
    assert "the job's secrets did not arrive" in ran.stderr


# Each has a form of its own in what Python writes: longer than what is cut, with both quotes, of
# several lines, beyond ASCII.
AWKWARD = {
    "LONG": "L0ng-" + "abcdefghij" * 12,
    "QUOTES": "Qu0t'e\"s-" + "abcdefghij" * 12,
    "LINES": "L1nes-begin\n" + "Abcdefghij" * 6 + "\n" + "1234567890" * 6 + "\n",
    "ACCENTS": "\u00e9\u20ac\U0001f600-" + "abcdefghij" * 12,
}


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("line", [
    'bcai.log_metric("loss", secret)',
    "bcai.log_metric(secret * 2, 1)",
    "bcai.log_metric(secret.encode() * 2, 1)",
    "bcai.progress(secret)",
    "bcai.progress([secret])",
    'bcai.progress(0.5, "x" * 200 + secret)',
    'bcai.progress(0.5, "x" * 200 + ascii(secret) + repr(secret.encode()))',
    "bcai.output(secret * 3, 1)",
    'bcai.output("x", {secret: object()})',
    "outputs = {'x': {secret: object()}}",
    'raise ValueError("x" * 16_300 + secret)',
    'raise ValueError("x" * 29_870 + ascii(secret) + "x" * 29_990)',
    'raise ValueError("x" * 29_870 + repr(secret.encode()) + "x" * 29_990)',
])
def test_what_is_cut_holds_no_part_of_a_secret(job, line, name):
    value = AWKWARD[name]
    ran = job.run(f"import os, bcai\nsecret = os.environ.pop({name!r})\n{line}\nsecret = None",
                  secrets={name: value})
    report = ran.report
    kept = json.dumps([report["error"] or {}, report["left_out"], ran.messages])
    if "bcai" in line and ran.exit_code:
        kept += ran.stderr
    assert "***" in kept
    parts = [value[:5], "abcdefghij", "Abcdefghij", "1234567890"]
    assert [part for part in parts if part in kept or json.dumps(part)[1:-1] in kept] == []


def test_the_forms_of_a_secret_that_are_hidden(job):
    pem = "-----BEGIN KEY-----\r\nMIIEvQIBADANBg\r\n short\r\n-----END KEY-----\r\n"
    ran = job.run("""\
        import json, os
        from bcai._secrets import hide
        for name in ("VALUE", "QUOTE"):
            value = os.environ[name]
            for text in (value, repr(value), json.dumps(value), ascii(value), repr(value.encode()),
                         json.dumps(value, ensure_ascii=False), repr('"' + value),
                         ascii('"' + value), repr(b'"' + value.encode())):
                print(hide(text))
        for line in os.environ["PEM"].splitlines():
            print(hide(line))
        print(hide(repr(os.environ["PEM"])))
        print(hide("hunhunterter hunterhunter"), hide("abc 1234"), hide("blanks"))
        """, secrets={"VALUE": "p\"w\\\n'\u00e9\U0001f600\x7f", "QUOTE": "it's \u20ac", "PEM": pem,
                      "SHORT": "abc", "A": "hunter", "B": "terhunt", "C": "\t blanks\n"})
    lines = ran.stdout.splitlines()
    assert [line.strip("b'\"") for line in lines[:18]] == ["***"] * 18
    assert lines[18:] == ["***", "***", " short", "***", r"'***\r\n'", "hun***ter *** abc 1234 ***"]
