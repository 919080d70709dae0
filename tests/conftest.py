# SPDX-License-Identifier: Apache-2.0
"""For all tests: figures that are told at the end of a run, also by those that pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

TOLD = "told"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """tell(text): printed at the end, below the test's name."""
    return lambda text: record_property(TOLD, text)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for outcome in ("passed", "failed")
               for report in terminalreporter.stats.get(outcome, [])]
    told = {report.nodeid: [text for name, text in report.user_properties if name == TOLD]
            for report in reports if getattr(report, "when", "") == "call"}
    if not any(told.values()):
        return
    terminalreporter.section("figures")
    for test in sorted(test for test in told if told[test]):
        terminalreporter.write_line(test)
        for text in told[test]:
            terminalreporter.write_line(f"  {text}")
