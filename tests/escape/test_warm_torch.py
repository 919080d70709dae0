# SPDX-License-Identifier: Apache-2.0
"""With torch loaded before the job: what the job finds is what a cold start would have given it."""
import sys

import pytest
from sandbox_program import run_tasks

pytest.importorskip("torch")

CASES = {
    "an import that is refused": "import subprocess",
    "one that torch brings": "import torch\nimport subprocess\nprint(subprocess.__name__)",
    "a submodule first": "import torch.nn as nn\nimport torch\nprint(nn.Linear(2, 1).weight.shape)",
    "from a submodule": "from torch.nn import Linear\nprint(Linear(2, 1).bias.shape, Linear)",
    "numpy with torch": "import numpy as np, torch\nprint(torch.from_numpy(np.ones(3)).sum())",
    "a refused module of a library's": "import torch, ctypes\nprint(ctypes.__name__)",
    "specs": "import torch, numpy\n"
             "print(torch.__spec__.name, numpy.__spec__.origin, torch.__file__)",
    "threads": "import torch\nprint(torch.get_num_threads())",
    "seeded": "import torch\ntorch.manual_seed(3)\nx = torch.rand(4)\nprint(x)",
    "trained": """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(8, 1)
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(5):
    optimizer.zero_grad()
    loss = model(torch.ones(4, 8)).square().mean()
    loss.backward()
    optimizer.step()
print(loss.item())
""",
    "an error in torch": "import torch\ntorch.ones(2) @ torch.ones(3)",
    "pickled": "import torch, pickle\nprint(pickle.loads(pickle.dumps(torch.ones(2))))",
    "saved": "import torch\ntorch.save({'w': torch.ones(2)}, 'outputs/w.pt')\n"
             "print(torch.load('outputs/w.pt'))",
}


def outcome(run):
    report = run["report"]
    return (run["stdout"], run["stderr"], report["outcome"], report["exit_code"],
            report["outputs"], [item["name"] for item in report["artifacts"]])


@pytest.mark.parametrize("cores", [1, 2])
def test_a_warm_start_ends_as_a_cold_one(tmp_path, cores):
    tasks = [{"code": code, "limits": {"cpu_millicores": cores * 1000}} for code in CASES.values()]
    runs = {start: run_tasks(tmp_path, tasks, start=start, python=sys.executable)
            for start in ("cold", "warm")}
    for name, cold, warm in zip(CASES, runs["cold"], runs["warm"], strict=True):
        assert outcome(warm) == outcome(cold), name


def test_random_numbers_are_nobody_elses(tmp_path):
    code = ("import random, numpy, torch\n"
            "print(random.random(), numpy.random.rand(), numpy.random.default_rng().random(),"
            " torch.rand(1).item())")
    runs = run_tasks(tmp_path, [{"code": code}] * 5, start="warm", python=sys.executable)
    for column in zip(*(run["stdout"].split() for run in runs), strict=True):
        assert len(set(column)) == len(runs), column
