# SPDX-License-Identifier: Apache-2.0
"""Runs native programs with the `bcai` program: text and arrays in, arrays out."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np

BUILT = Path(__file__).resolve().parents[2] / "build" / "release" / "src" / "cli" / "bcai"
BCAI = os.environ.get("BCAI_PROGRAM", str(BUILT))
NAMES = {
    "float32": "f32",
    "int64": "i64",
    "int32": "i32",
    "int8": "i8",
    "uint8": "u8",
    "bool": "bool",
}


class Refused(Exception):
    """What the program printed when it refused."""


def type_text(array: np.ndarray) -> str:
    return f"{NAMES[array.dtype.name]}[{','.join(map(str, array.shape))}]"


def bcai_vm(directory: Path, *words: str | Path, program: str | Path = BCAI) -> str:
    """What `bcai vm WORDS` prints in this directory."""
    done = subprocess.run([Path(program).resolve(), "vm", *map(str, words)], cwd=directory,
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout


def run_saved(directory: Path, program: str, inputs: dict[str, np.ndarray],
              *options: str | Path) -> dict[str, np.ndarray]:
    """The results of a program in this directory, by name; its weights lie beside it, if any."""
    words: list[str | Path] = ["run", program, "--json", "--output-dir", "out", *options]
    weights = Path(program).with_suffix(".safetensors")
    words += ["--weights", weights] if (directory / weights).exists() else []
    for i, (name, array) in enumerate(inputs.items()):
        np.save(directory / f"input_{i}.npy", array)
        words += ["--input", f"{name}=input_{i}.npy"]
    results = json.loads(bcai_vm(directory, *words))
    return {name: np.load(directory / result["file"]) for name, result in results.items()}


class Machine:
    """One directory in which programs run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(
        self, text: str, inputs: dict[str, np.ndarray], options: list[str] | None = None
    ) -> dict[str, np.ndarray]:
        (self.directory / "program.bcasm").write_text(text)
        command = [BCAI, "vm", "run", "program.bcasm", "--json", "--output-dir", "out"]
        command += options or []
        for name, array in inputs.items():
            np.save(self.directory / f"{name}.npy", array)
            command += ["--input", f"{name}={name}.npy"]
        environment = {**os.environ, "BCAI_DATA_DIR": str(self.directory / "data")}
        done = subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise Refused(done.stderr)
        return {
            name: np.load(self.directory / result["file"])
            for name, result in json.loads(done.stdout).items()
        }

    def instruction(
        self,
        name: str,
        inputs: list[np.ndarray | None],
        results: list[np.ndarray],
        attributes: str = "",
    ) -> list[np.ndarray]:
        """One instruction's results; `results` say their types."""
        given = {f"a{i}": array for i, array in enumerate(inputs) if array is not None}
        arguments = ", ".join(f"%{key}: {type_text(array)}" for key, array in given.items())
        operands = ", ".join("_" if a is None else f"%a{i}" for i, a in enumerate(inputs))
        types = [type_text(array) for array in results]
        outputs = ", ".join(f"%y{i}: {text}" for i, text in enumerate(types))
        values = ", ".join(f"%r{i}" for i in range(len(types)))
        clause = f" {{{attributes}}}" if attributes else ""
        text = (
            "bcvm 1.0 profile n1\n"
            f"func @main({arguments}) -> ({outputs}) {{\n"
            f"  {values} = {name} {operands}{clause} : {', '.join(types)}\n"
            f"  return {values}\n}}\n"
        )
        outs = self.run(text, given)
        return [outs[f"y{i}"] for i in range(len(results))]
