# SPDX-License-Identifier: Apache-2.0
"""Whole models, imported and run on the reference backend, against onnxruntime."""

import numpy
import pytest
from onnx_program import find_program, run_cases
from whole_models import ocr, page, silero_vad

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: ./dev setup")
if find_program() is None:
    pytest.skip("needs the onnx_run program: ./dev build", allow_module_level=True)


def sound(samples):
    t = numpy.arange(samples, dtype=numpy.float32)
    return (0.3 * numpy.sin(0.05 * t) + 0.1 * numpy.sin(0.31 * t))[None, :]


# name: model, inputs, constants, options. The dimensions of the second form stay open.
D = "p2o.DynamicDimension."
STATE = numpy.zeros((2, 1, 128), numpy.float32)
LINE = page(1, 3, 48, 168, scale=5)
MODELS = {
    "det": ("det", {"x": page(1, 3, 64, 96, scale=2)}, {}, {"shapes": {"x": [1, 3, 64, 96]}}),
    "det_open": ("det", {"x": page(1, 3, 64, 96, scale=2)}, {},
                 {"ranges": {D + "1": [32, 960, 32], D + "2": [32, 960, 32]}}),
    "rec": ("rec", {"x": LINE}, {}, {"shapes": {"x": [1, 3, 48, 168]}}),
    "rec_open": ("rec", {"x": LINE}, {}, {"ranges": {"x_2": [48, 48, 1], D + "1": [32, 960, 8]}}),
    "cls": ("cls", {"x": page(2, 3, 48, 192, scale=5)}, {}, {"shapes": {"x": [2, 3, 48, 192]}}),
    "cls_open": ("cls", {"x": page(2, 3, 48, 192, scale=5)}, {},
                 {"ranges": {"x_2": [48, 48, 1], "x_3": [192, 192, 1]}}),
    "vad_16k": ("vad", {"input": sound(576), "state": STATE}, {"sr": numpy.array(16000)},
                {"shapes": {"input": [1, 576], "state": [2, 1, 128]}}),
    "vad_8k": ("vad", {"input": sound(288), "state": STATE}, {"sr": numpy.array(8000)},
               {"shapes": {"input": [1, 288], "state": [2, 1, 128]}}),
}
ATOL = 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_as_onnxruntime(name, tmp_path, tell):
    kind, inputs, values, options = MODELS[name]
    model = silero_vad() if kind == "vad" else ocr(kind)
    case = {"name": name, "model": str(model), "inputs": {}, "values": {}, **options}
    for group, tensors in (("inputs", inputs), ("values", values)):
        for key, tensor in tensors.items():
            case[group][key] = str(tmp_path / f"{key}.npy")
            numpy.save(case[group][key], tensor)
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
    tell(f"{name}: {outcome['instructions']} instructions, largest difference "
         f"{max(differences):.2g}")
