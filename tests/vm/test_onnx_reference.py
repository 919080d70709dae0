# SPDX-License-Identifier: Apache-2.0
"""docs/reference/onnx.md is what the importer prints."""
import pytest
from onnx_program import ROOT, find_program, markdown


def test_the_page_is_what_the_importer_prints():
    if find_program() is None:
        pytest.skip("needs the onnx_run program: ./dev build")
    page = ROOT / "docs" / "reference" / "onnx.md"
    assert page.read_text() == markdown(), f"onnx_run --markdown > {page.relative_to(ROOT)}"
