# SPDX-License-Identifier: Apache-2.0
"""Prints python/bcai/_vm.pyi, the types of the extension module, from the module itself.

    .venv/bin/python tools/vm_stub.py build/release/python/bcai > python/bcai/_vm.pyi
"""

import importlib
import sys
from pathlib import Path


def stub(directory: str) -> str:
    """`directory` holds the built module."""
    from nanobind.stubgen import StubGen

    sys.path.insert(0, str(Path(__file__).parents[1] / "python"))
    import bcai

    if directory not in bcai.__path__:
        bcai.__path__.append(directory)
    module = importlib.import_module("bcai._vm")
    generator = StubGen(module)
    generator.put(module)
    text: str = generator.get()
    return "# SPDX-License-Identifier: Apache-2.0\n# Printed by tools/vm_stub.py.\n" + text


if __name__ == "__main__":
    sys.stdout.write(stub(sys.argv[1]))
