# SPDX-License-Identifier: Apache-2.0
"""Loads libraries and becomes jobs: python3 -I -S -B -u zygote.py SITE_PACKAGES OVERLAY [MODULE…]

The work is in bcai/_zygote.py.
"""
import sys

sys.path.insert(0, __file__.rpartition("/")[0] or ".")
import bcai._zygote

del sys.path[0]
bcai._zygote.main(*sys.argv[1:])
