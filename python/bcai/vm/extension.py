# SPDX-License-Identifier: Apache-2.0
"""The extension module ``bcai._vm``, or an error that says how to get it."""

from __future__ import annotations

try:
    import bcai._vm as _vm
except ImportError as error:
    raise ImportError(
        f"bcai._vm, the VM for Python, cannot be loaded ({error}). It is part of bcai's wheel for "
        "each Python: pip install --force-reinstall bcai; from a source tree: pip install ."
    ) from error

__all__ = ["_vm"]
