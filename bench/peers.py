# SPDX-License-Identifier: Apache-2.0
"""The environment with the runtimes that ours is compared with."""

import os
import pathlib
import subprocess
import sys

import measure

HOME = measure.ROOT / "build" / "bench-vm"
MODELS = measure.ROOT / "build" / "bench-models"
PACKAGES = ["onnxruntime", "openvino", "onnxscript"]


def enter() -> None:
    """Runs this script again where the peers are; they are installed the first time."""
    if pathlib.Path(sys.prefix) == HOME:
        return
    python = HOME / "bin" / "python"
    if not (HOME / "ready").exists():
        measure.progress(f"installing {', '.join(PACKAGES)} into build/{HOME.name}")
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        packages = next((HOME / "lib").glob("python*")) / "site-packages"
        own = next(path for path in sys.path if path.endswith("site-packages"))
        (packages / "development.pth").write_text(own + "\n")
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        (HOME / "ready").touch()
    environment = {**os.environ, "PYTHONPATH": str(measure.ROOT / "python"),
                   "BCAI_DATA_DIR": str(MODELS / "data")}
    os.execve(python, [str(python), *sys.argv], environment)
