# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from sandbox_program import lacking


def pytest_collection_modifyitems(items):
    reason = lacking()
    here = str(Path(__file__).parent)
    for item in items:
        if reason and str(item.path).startswith(here):
            item.add_marker(pytest.mark.skip(reason=reason))
