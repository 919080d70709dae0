# SPDX-License-Identifier: Apache-2.0
"""Job identifiers: 48 bits of milliseconds and 80 random ones, as ``src/base/id.h`` writes them.

The client makes the id, so that sending a submission again is harmless.
"""

from __future__ import annotations

import re
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_JOB_ID = re.compile(f"job_[0-7][{_ALPHABET}]{{25}}")


def make_job_id() -> str:
    """A new id: ``job_`` and 26 characters of Crockford base32, in order of age."""
    ms = time.time_ns() // 1_000_000
    number = (ms & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return "job_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_job_id(text: str) -> bool:
    return _JOB_ID.fullmatch(text) is not None
