# SPDX-License-Identifier: Apache-2.0
"""Progress, metrics, and the import policy at run time."""
import os

import pytest


def test_progress_and_metrics(job):
    ran = job.run("""\
        import bcai, torch
        bcai.progress(0.25, "epoch 1")
        bcai.progress(7)
        bcai.progress(None, "é" * 1000)
        bcai.log_metric("loss", torch.tensor(0.5), step=3)
        bcai.log_metric("loss", float("nan"))
        """)
    assert ran.messages == [
        {"started": True},
        {"progress": {"fraction": 0.25, "message": "epoch 1"}},
        {"progress": {"fraction": 1.0, "message": ""}},
        {"progress": {"fraction": None, "message": "é" * 128}},
        {"metric": {"name": "loss", "value": 0.5, "step": 3}}]


def test_messages_are_limited_and_the_latest_arrives(job):
    ran = job.run("""\
        import bcai
        for i in range(20000):
            bcai.log_metric("loss", i)
            bcai.progress(i / 20000)
        """)
    assert len(ran.messages) < 1000
    assert [m["metric"]["value"] for m in ran.messages if "metric" in m][-1] == 19999
    assert [m["progress"]["fraction"] for m in ran.messages if "progress" in m][-1] > 0.9999


def test_a_full_pipe_does_not_stop_the_job(job):
    process = job.start("""\
        import bcai, time
        end = time.monotonic() + 0.5
        n = 0
        while time.monotonic() < end:
            for k in range(200):
                bcai.log_metric("m" * 100 + str(k), n)
            n += 1
        import os
        os.set_blocking(3, False)
        while True:
            try:
                os.write(3, b" " * 4096)
            except BlockingIOError:
                break
        bcai.progress(0.5)
        print("done")
        """)
    stdout, _ = process.communicate(timeout=20)
    os.close(job.control_read)
    assert stdout == b"done\n" and process.returncode == 0


def test_closed_descriptors(job):
    ran = job.run("""\
        import os, bcai
        os.close(3)
        file = open("mine", "w")
        assert file.fileno() == 3
        bcai.progress(0.5)
        file.write("text")
        file.flush()
        for fd in (0, 1, 2):
            os.close(fd)
        x = 1
        """)
    assert ran.outputs == {"x": 1, "fd": 2}
    assert (job.directory / "work/mine").read_text() == "text"


def test_tqdm_becomes_progress(job):
    ran = job.run("""\
        import time
        from tqdm import tqdm
        for i in tqdm(range(4), desc="train"):
            for j in tqdm(range(3), desc="inner", leave=False):
                time.sleep(0.05)
        """, restricted=True)
    fractions = [m["progress"] for m in ran.messages[1:]]
    assert fractions[-1] == {"fraction": 1.0, "message": "train 4/4"}
    assert len(fractions) > 2 and all(f["message"].startswith("train") for f in fractions)
    assert "train: 100%" in ran.stderr


def test_own_progress_wins_over_tqdm(job):
    ran = job.run("""\
        import bcai
        from tqdm.auto import tqdm
        bcai.progress(0.5, "mine")
        for i in tqdm(range(4)): pass
        """)
    assert ran.messages[1:] == [{"progress": {"fraction": 0.5, "message": "mine"}}]


# --- import policy ---------------------------------------------------------------------------


@pytest.mark.parametrize("code, module", [
    ("import ctypes", "ctypes"),
    ("import ctypes.util", "ctypes"),
    ("from multiprocessing import managers", "multiprocessing.managers"),
    ("import importlib; importlib.import_module('socket')", "socket"),
    ("import nosuchmodule", "nosuchmodule"),
    ("def f():\n    import subprocess\nf()", "subprocess"),
])
def test_import_refused(job, code, module):
    ran = job.run(code, restricted=True)
    assert ran.exit_code == 1
    assert ran.error["type"] == "ImportPolicyError"
    assert ran.error["message"] == (f"import of '{module}' is not allowed by the import policy; "
                                    f"ask for it with --allow-import {module}")
    assert f"\nImportPolicyError: import of '{module}'" in ran.stderr
    assert "/bcai/" not in ran.stderr
    assert "importlib" in code or "frozen" not in ran.stderr


@pytest.mark.parametrize("code", [
    "import torch, numpy, tqdm, safetensors.torch, bcai, json, os, multiprocessing, asyncio",
    "import uuid; uuid.uuid4()",                       # imports subprocess-free helpers itself
    "import numpy as np, io; np.save(io.BytesIO(), np.zeros(2))",
    "import numpy as np; np.zeros(4).tofile('f'); np.fromfile('f')",
    "try:\n    import ctypes\nexcept ImportError as e:\n    assert e.name == 'ctypes'",
])
def test_import_allowed(job, code):
    ran = job.run(code, restricted=True)
    assert ran.exit_code == 0, ran.stderr


def test_import_asked_for_or_own_or_off(job):
    assert job.run("import ctypes.util", restricted=True, allowed=["ctypes"]).exit_code == 0
    (job.directory / "work/mymodule.py").write_text("x = 1\n")
    assert job.run("import mymodule", restricted=True).exit_code == 0
    (job.directory / "work/mymodule.py").write_text("import socket\n")
    assert job.run("import mymodule", restricted=True).error["type"] == "ImportPolicyError"
    assert job.run("import socket", restricted=False).exit_code == 0
