# SPDX-License-Identifier: Apache-2.0
"""Waits in a sandbox of gVisor's for its one task:
python3 -I -S -B -u guest.py [SITE_PACKAGES OVERLAY MODULE…]

The work is in bcai/_guest.py.
"""
import sys

sys.path.insert(0, __file__.rpartition("/")[0] or ".")
import bcai._guest

del sys.path[0]
bcai._guest.main(*sys.argv[1:])
