# SPDX-License-Identifier: Apache-2.0
"""What a job carries out, whatever it did to its own process."""
import os
import subprocess

import pytest

DTYPES = ["float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8",
          "bool", "complex64", "float8_e4m3fn"]


def test_plain_values(job):
    ran = job.run("""\
        import math
        from collections import namedtuple, OrderedDict
        i, big, f, t, b, n = 3, 2**64 - 1, 0.1, 'é"\\n\\u2028', True, None
        l, tu, d = [1, [2, (3,)]], (1, 2), {"a": {"b": [None, False]}}
        P = namedtuple("P", "x y")
        p = P(1, 2)
        o = OrderedDict(z=1, a=2)
        _hidden = 1
        def function(): pass
        class Class: pass
        thing = Class()
        """)
    assert ran.outputs == {
        "i": 3, "big": 2**64 - 1, "f": 0.1, "t": 'é"\n\u2028', "b": True, "n": None,
        "l": [1, [2, [3]]], "tu": [1, 2], "d": {"a": {"b": [None, False]}}, "p": [1, 2],
        "o": {"z": 1, "a": 2}}
    assert list(ran.outputs["o"]) == ["z", "a"]
    assert ran.left_out == {}


def test_left_out_with_reasons(job):
    ran = job.run("""\
        nan, inf = float("nan"), float("inf")
        losses = [1.0, float("nan")]
        long = "x" * 65537
        fits = "x" * 65536
        huge = 10 ** 100
        cycle = []
        cycle.append(cycle)
        deep = []
        for _ in range(16):
            deep = [deep]
        fine = []
        for _ in range(15):
            fine = [fine]
        keys = {1: 2}
        things = [1, object()]
        many = list(range(100_001))
        lone = "\\ud800"
        wide = ["x" * 60000] * 200
        """)
    assert set(ran.outputs) == {"fits", "fine"}
    reasons = ran.left_out
    assert reasons["nan"] == "is nan; JSON has no such number"
    assert reasons["losses"] == "holds at [1] nan; JSON has no such number"
    assert "65537" in reasons["long"] and "333 bits" in reasons["huge"]
    assert "reference to what holds it" in reasons["cycle"]
    assert "16 levels" in reasons["deep"] and "keys are not all text" in reasons["keys"]
    assert reasons["things"] == "holds at [1] of type object"
    assert "100000 items" in reasons["many"] and "surrogates" in reasons["lone"]
    assert "too large" in reasons["wide"]


def test_numbers_of_torch_and_numpy(job):
    ran = job.run("""\
        import torch, numpy as np
        w = torch.tensor(2.5, requires_grad=True)
        loss = w * 2
        flag = torch.tensor(True)
        count = torch.tensor(7)
        half = torch.tensor(1.5, dtype=torch.bfloat16)
        a, b, c, d = np.float32(0.5), np.int64(3), np.bool_(True), np.array(4.0)
        losses = [loss, np.float64(1.0), torch.tensor(3)]
        z = torch.tensor(1 + 2j)
        nan = torch.tensor(float("nan"))
        """)
    assert ran.outputs == {"w": 2.5, "loss": 5.0, "flag": True, "count": 7, "half": 1.5, "a": 0.5,
                           "b": 3, "c": True, "d": 4.0, "losses": [5.0, 1.0, 3]}
    assert "complex" in ran.left_out["z"] and "nan" in ran.left_out["nan"]


def test_tensors_and_arrays(job):
    ran = job.run(f"DTYPES = {DTYPES}\n" + """\
import torch, numpy as np
for name in DTYPES:
    globals()[name] = (torch.arange(6).reshape(2, 3) * 3).to(getattr(torch, name))
graph = torch.ones(3, requires_grad=True) * 2
transposed = torch.arange(6.0).reshape(2, 3).T
sliced = torch.arange(10)[::3]
conjugated = torch.tensor([1 + 2j]).conj()
empty = torch.zeros(0, 4)
parameter = torch.nn.Parameter(torch.ones(2))
array = np.arange(6, dtype=np.float32).reshape(2, 3).T
big_endian = np.arange(3, dtype=">i4")
booleans = np.array([True, False])
text = np.array(["a"])
sparse = torch.eye(3).to_sparse()
meta = torch.zeros(2, device="meta")
        """)
    assert ran.exit_code == 0, ran.stderr
    import torch
    tensors = ran.tensors()
    base = torch.arange(6).reshape(2, 3) * 3
    for name in DTYPES:
        expected = base.to(getattr(torch, name))
        assert tensors[name].dtype == expected.dtype
        assert torch.equal(tensors[name].to(torch.complex64), expected.to(torch.complex64)), name
    assert tensors["graph"].tolist() == [2, 2, 2]
    assert tensors["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert tensors["sliced"].tolist() == [0, 3, 6, 9]
    assert tensors["conjugated"].tolist() == [1 - 2j]
    assert tensors["empty"].shape == (0, 4) and tensors["parameter"].tolist() == [1, 1]
    assert tensors["array"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert tensors["big_endian"].tolist() == [0, 1, 2]
    assert tensors["booleans"].tolist() == [True, False]
    assert {t["name"]: (t["dtype"], t["shape"]) for t in ran.report["tensors"]}["array"] == (
        "F32", [3, 2])
    assert set(ran.left_out) == {"text", "sparse", "meta"}


def test_arrays_without_torch(job):
    ran = job.run("import numpy as np\na = np.arange(3.0)\nimport sys\nt = 'torch' in sys.modules")
    assert ran.tensors("np")["a"].tolist() == [0, 1, 2] and ran.outputs["t"] is False


def test_state_dict(job):
    ran = job.run("""\
        import torch
        bn = torch.nn.BatchNorm1d(2)
        weights = bn.state_dict()
        """)
    assert set(ran.tensors()) == {"weights." + n for n in (
        "weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


def test_one_tensor_of_a_dict_that_cannot_be_carried(job):
    ran = job.run("""\
        import torch
        weights = {"a": torch.ones(2), "b": torch.eye(2).to_sparse(), "c" * 300: torch.ones(1),
                   "d": torch.zeros(2)}
        """)
    assert set(ran.tensors()) == {"weights.a", "weights.d"}
    assert "sparse" in ran.left_out["weights.b"] and len(ran.left_out) == 2
    assert ran.left_out["weights." + "c" * 300] == "has a name of more than 256 bytes"


def test_two_outputs_of_one_name(job):
    ran = job.run("""\
        import bcai, torch
        bcai.output("state.w", torch.zeros(3))
        state = {"w": torch.ones(2), "v": torch.ones(1)}
        bcai.output("state.v", 5)
        """)
    assert ran.outputs == {"state.v": 5}
    assert ran.tensors()["state.w"].tolist() == [0, 0, 0]
    assert [tensor["name"] for tensor in ran.report["tensors"]] == ["state.w"]
    assert ran.left_out == {name: "is the name of another output" for name in
                            ("state.w", "state.v")}


def test_what_is_left_out_is_counted_to_the_end(job):
    ran = job.run("for number in range(300):\n    globals()[f'bad{number}'] = float('nan')\n")
    assert len(ran.left_out) == 257 and ran.left_out["…"] == "44 more were left out"


def test_tensors_up_to_the_limit(job):
    ran = job.run("""\
        import bcai, torch
        first = torch.zeros(500)
        second = torch.zeros(600)
        third = torch.zeros(1)
        bcai.output("asked", torch.ones(200))
        """, carried_bytes_max=4000)
    assert set(ran.tensors()) == {"asked", "first", "third"}
    assert "2400 B" in ran.left_out["second"] or "2.4 kB" in ran.left_out["second"]


def test_output_wins(job):
    ran = job.run("""\
        import bcai
        accuracy = 0.1
        bcai.output("accuracy", 0.9)
        bcai.output(tags=["a"], lost=object())
        bcai.output("two\\nlines", 1)
        """)
    assert ran.outputs == {"accuracy": 0.9, "tags": ["a"]}
    assert "type object" in ran.left_out["lost"]
    assert ran.left_out["two\nlines"] == "has a name that cannot be printed"


@pytest.mark.parametrize("call, message", [
    ("bcai.output('a')", "takes a name and a value"),
    ("bcai.output(3, 4)", "a name is text"),
    ("bcai.progress('x')", "fraction is a number"),
    ("bcai.progress(float('nan'))", "nan"),
    ("bcai.log_metric('loss', 'x')", "value is a number"),
    ("bcai.SDK()", "the SDK belongs to the program that submits the job"),
    ("from bcai import Job", "cannot import name 'Job' from 'bcai'"),
])
def test_wrong_use_is_told(job, call, message):
    ran = job.run(f"import bcai\n{call}\n")
    assert ran.exit_code == 1 and message in ran.error["message"]


def test_values_that_raise(job):
    ran = job.run("""\
        class Bad(dict):
            def items(self): raise RuntimeError
            def __iter__(self): raise SystemExit
        bad = Bad(a=1)
        class Liar:
            @property
            def __class__(self): raise SystemExit(4)
        liar = Liar()
        good = 1
        """)
    assert ran.exit_code == 0 and ran.outputs == {"bad": {"a": 1}, "good": 1}



@pytest.mark.parametrize("code", [
    "import builtins\nx = 1\nvars(builtins).clear()",
    "import builtins\nx = 1\nbuiltins.len = builtins.open = builtins.isinstance = None",
    "import sys, io\nx = 1\nsys.stdout = sys.stderr = io.StringIO()",
    "import sys\nx = 1\nsys.stdout = sys.stderr = None",
    "import sys\nx = 1\nsys.stdout = 5",
    "import json, os\nx = 1\njson.dumps = os.open = os.write = os.fork = None",
    "import sys\nx = 1\nsys.modules.clear()",
    "import sys\nx = 1\nsys.meta_path.clear(); sys.path.clear()",
    "import os, shutil\nx = 1\nos.mkdir('d'); os.chdir('d'); shutil.rmtree('../d')",
    "import sys\nx = 1\nsys.setrecursionlimit(30)",
    "import gc\nx = 1\ngc.disable()",
    "import signal\nx = 1\nsignal.alarm(0); signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "import os\nx = 1\nos.makedirs('.bcai', exist_ok=True)",
    "x = 1\n_f = []\ntry:\n    while True: _f.append(open('/dev/null'))\nexcept OSError: pass",
])
def test_outputs_survive(job, code):
    ran = job.run(code)
    assert ran.exit_code == 0, ran.stderr
    assert ran.report is not None and ran.outputs["x"] == 1


@pytest.mark.parametrize("code", [
    "import builtins\ne = ValueError('after all')\nvars(builtins).clear()\nraise e",
    "import sys\nsys.modules['traceback'] = None\nraise ValueError('after all')",
])
def test_errors_survive(job, code):
    ran = job.run(code)
    assert ran.exit_code == 1 and "after all" in ran.stderr
    assert ran.error["type"] == "ValueError" and ran.error["message"] == "after all"


def test_disk_full(job, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes root")
    work = job.directory / "work"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(work)], check=True)
    try:
        ran = job.run("import numpy as np\na = np.zeros(100_000)\nx = 1\n")
        assert ran.outputs == {"x": 1} and "No space left" in ran.left_out["a"]
        assert not (work / ".bcai/outputs.safetensors").exists()
    finally:
        subprocess.run(["umount", str(work)], check=True)


def test_disk_filled_by_the_job(job):
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes root")
    work = job.directory / "work"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(work)], check=True)
    try:
        ran = job.run("""\
            x, many = 1, ["y" * 60_000] * 4
            with open("big", "ab", 0) as file:
                while True:
                    file.write(bytes(4096))
            """)
        assert ran.exit_code == 1
        assert ran.error["type"] == "OSError" and ran.error["line"] == 4
        assert ran.outputs == {} and "No space left" in ran.left_out["x"]
        assert not (work / ".bcai/space").exists()
    finally:
        subprocess.run(["umount", str(work)], check=True)


def test_the_directory_for_files_is_there(job):
    ran = job.run("""\
        import os
        os.makedirs("outputs", exist_ok=True)
        open("outputs/x", "w").close()
        """)
    assert (job.directory / "work/outputs/x").exists() and ran.exit_code == 0
