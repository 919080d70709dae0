# SPDX-License-Identifier: Apache-2.0
"""The operators of com.microsoft, one node each, against onnxruntime."""
import numpy
import pytest
from onnx_program import find_program, run_cases

onnx = pytest.importorskip("onnx", reason="needs the onnx package: ./dev setup")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
if find_program() is None:
    pytest.skip("needs the onnx_run program: ./dev build", allow_module_level=True)

RANDOM = numpy.random.default_rng(0)
B, S, T, D, HEADS = 2, 5, 7, 32, 4


def reals(*shape):
    return RANDOM.standard_normal(shape).astype(numpy.float32)


def rotations():
    angles = numpy.outer(numpy.arange(16), 0.5 ** numpy.arange(D // HEADS // 2))
    return numpy.cos(angles).astype(numpy.float32), numpy.sin(angles).astype(numpy.float32)


MASK = numpy.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], numpy.int32)
KEYS = numpy.array([[1] * 7, [1, 1, 1, 1, 0, 0, 0]], numpy.int32)
PLACES = numpy.array([[0, 1, 2, 3, 4], [3, 4, 5, 6, 7]], numpy.int64)
X, SKIP, GAMMA, BETA, BIAS = reals(B, S, D), reals(B, S, D), reals(D), reals(D), reals(D)

# operator, inputs (None: absent), attributes
CASES = {
    "gelu": ("Gelu", [X], {}),
    "fast_gelu": ("FastGelu", [X], {}),
    "fast_gelu_bias": ("FastGelu", [X, BIAS], {}),
    "bias_gelu": ("BiasGelu", [X, BIAS], {}),
    "quick_gelu": ("QuickGelu", [X], {"alpha": 1.5}),
    "skip": ("SkipLayerNormalization", [X, SKIP, GAMMA, BETA], {"epsilon": 1e-5}),
    "skip_bias": ("SkipLayerNormalization", [X, SKIP, GAMMA, BETA, BIAS], {}),
    "skip_simplified": ("SkipSimplifiedLayerNormalization", [X, SKIP, GAMMA, BIAS], {}),
    "attention": ("Attention", [X, reals(D, 3 * D), reals(3 * D)], {"num_heads": HEADS}),
    "attention_mask": ("Attention", [X, reals(D, 3 * D), reals(3 * D), MASK],
                       {"num_heads": HEADS}),
    "attention_causal": ("Attention", [X, reals(D, 3 * D), reals(3 * D)],
                         {"num_heads": HEADS, "unidirectional": 1}),
    "multi_head": ("MultiHeadAttention", [X, reals(B, T, D), reals(B, T, D)],
                   {"num_heads": HEADS, "scale": 0.25}),
    "multi_head_bias_and_masks": (
        "MultiHeadAttention",
        [X, reals(B, T, D), reals(B, T, D), reals(3 * D), KEYS, reals(1, HEADS, S, T)],
        {"num_heads": HEADS}),
    "rotary": ("RotaryEmbedding", [X, PLACES, *rotations()], {"num_heads": HEADS}),
    "rotary_interleaved": ("RotaryEmbedding", [X, PLACES, *rotations()],
                           {"num_heads": HEADS, "interleaved": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_as_onnxruntime(name, tmp_path):
    operator, operands, attributes = CASES[name]
    feeds = {f"x{i}": operand for i, operand in enumerate(operands) if operand is not None}
    node = onnx.helper.make_node(
        operator, [f"x{i}" if operand is not None else "" for i, operand in enumerate(operands)],
        ["y"], domain="com.microsoft", **attributes)
    infos = [onnx.helper.make_tensor_value_info(
        key, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for key, value in feeds.items()]
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, X.shape)
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], name, infos, [result]), ir_version=8,
        opset_imports=[onnx.helper.make_opsetid("", 17),
                       onnx.helper.make_opsetid("com.microsoft", 1)])
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    case = {"name": name, "model": str(path), "inputs": {}}
    for key, value in feeds.items():
        case["inputs"][key] = str(tmp_path / f"{key}.npy")
        numpy.save(case["inputs"][key], value)
    outcome = run_cases(tmp_path, [case])[name]
    assert outcome["stage"] == "done", f"{outcome['stage']}: {outcome['error']}"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted, = session.run(None, feeds)
    got = numpy.load(outcome["directory"] / "0.npy")
    numpy.testing.assert_allclose(got, wanted, rtol=1e-4, atol=2e-5)
