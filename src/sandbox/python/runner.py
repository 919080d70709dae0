# SPDX-License-Identifier: Apache-2.0
"""Runs one job: python3 -I -S -B -u runner.py [IN_DIRECTORY WORK_DIRECTORY [SITE_PACKAGES]]

Kept short, for Python compiles its main script at every start; the work is in bcai/_run.py.
"""
import sys

sys.path.insert(0, __file__.rpartition("/")[0] or ".")
import bcai._run

del sys.path[0]
bcai._run.main(*(sys.argv[1:] or ("/in", "/work")))
