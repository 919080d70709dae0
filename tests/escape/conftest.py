# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from sandbox_host import lacking, skip_below
from sandbox_program import find_program


def pytest_collection_modifyitems(items):
    skip_below(Path(__file__).parent, items, lacking(find_program(), "sandbox_run"))
