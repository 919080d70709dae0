# SPDX-License-Identifier: Apache-2.0
"""Every node test of ONNX's own suite whose operators the importer lists.

The suite comes with the onnx package: models, inputs and expected outputs. Each model is imported
and run on the reference backend, and compared at onnx's own tolerances. What is not run has its
reason in EXCLUDED; a case that is excluded and would pass fails the test.
"""
import fnmatch
from pathlib import Path

import numpy
import pytest
from onnx_program import find_program, operators, run_cases

onnx = pytest.importorskip("onnx", reason="needs the onnx package: ./dev setup")
if find_program() is None:
    pytest.skip("needs the onnx_run program: ./dev build", allow_module_level=True)

RTOL, ATOL = 1e-3, 1e-7  # onnx.backend.test's defaults
DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
SUITES = ("node", "pytorch-converted", "pytorch-operator", "simple")

# Operands that must be known when a model is imported. The suite passes them as inputs; here they
# become constants.
KNOWN = {
    "Reshape": [1], "Squeeze": [1], "Unsqueeze": [1], "Expand": [1], "Tile": [1], "Split": [1],
    "Slice": [1, 2, 3, 4], "Pad": [1, 2, 3], "TopK": [1], "CumSum": [1], "Trilu": [1],
    "OneHot": [1], "ConstantOfShape": [0], "Range": [0, 1, 2], "Resize": [1, 2, 3],
    "Upsample": [1], "Dropout": [1, 2], "If": [0], "CenterCropPad": [1], "GRU": [4], "LSTM": [4],
    **{f"Reduce{kind}": [1] for kind in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2",
                                         "SumSquare", "LogSum", "LogSumExp")},
}

# reason: cases
EXCLUDED = {
    "programs have no f64": [
        "node/cast_*DOUBLE*", "node/castlike_*DOUBLE*", "node/reduce_log_sum_exp_*_expanded",
        "pytorch-operator/operator_addconstant"],
    "programs have no 8-bit floats": ["node/cast_*FLOAT8*", "node/castlike_*FLOAT8*"],
    "programs have no 4-bit integers": ["node/cast_*INT4*"],
    "programs have no 16-bit and no unsigned 32- and 64-bit integers": [
        "node/bitwise_*_i16_3d", "node/bitwise_*_ui64_bcast_3v1d", "node/bitwise_not_3d",
        "node/m*_int16", "node/m*_uint16", "node/m*_uint32", "node/m*_uint64",
        "node/pow_types_float32_uint*"],
    "the suite stores bf16 as uint16, and .npy has no bf16": [
        "node/cast_BFLOAT16_to_FLOAT", "node/cast_FLOAT_to_BFLOAT16",
        "node/castlike_*BFLOAT16*"],
    "programs have no strings": [
        "node/cast_*STRING*", "node/castlike_*STRING*", "node/equal_string*"],
    "programs have tensors only": ["node/identity_opt", "node/identity_sequence"],
    "f16 is only moved and cast": [
        "node/isnan_float16", "node/max_float16", "node/min_float16",
        "node/mod_mixed_sign_float16"],
    "training is not imported": ["node/batchnorm_*_training_mode", "node/training_dropout*"],
    "nothing is reduced over no elements (rule V13)": [
        "node/reduce_*_empty_set", "node/reduce_*_empty_set_expanded"],
    "ReduceMax and ReduceMin take numbers": ["node/reduce_m*_bool_inputs"],
    "MaxPool takes f32 and gives no indices": [
        "node/maxpool_2d_uint8", "node/maxpool_with_argmax_*"],
    "the remainder with the dividend's sign is of integers only": [
        "node/mod_mixed_sign_float32", "node/mod_mixed_sign_float64"],
    "Pow takes an f32 base": ["node/pow_types_int*"],
    "no cubic resampling": ["node/resize_*_cubic*"],
    "no antialiasing": ["node/resize_*_linear_antialias"],
    "a scale must give a whole size": [
        "node/resize_downsample_scales_linear", "node/resize_downsample_scales_nearest",
        "node/resize_downsample_scales_linear_align_corners",
        "node/resize_*_linear_half_pixel_symmetric"],
    "no policy for the aspect ratio": ["node/resize_*_not_larger", "node/resize_*_not_smaller"],
    "no tf_crop_and_resize": ["node/resize_tf_crop_and_resize*"],
    "no wrapping around in Pad": ["node/wrap_pad"],
    "no peepholes": ["node/lstm_with_peepholes"],
    "no diagonal and no ellipsis in Einsum": ["node/einsum_batch_diagonal"],
    "here the suite divides a window that reaches past the padding by its whole size; onnxruntime "
    "and the instruction divide by what lies inside": [
        "node/averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True"],
    "before opset 7 broadcasting was an attribute": [
        "pytorch-converted/Linear", "pytorch-converted/PReLU_*", "pytorch-converted/Softsign",
        "pytorch-operator/operator_add_*broadcast", "pytorch-operator/operator_addmm",
        "pytorch-operator/operator_mm", "pytorch-operator/operator_pow"],
    "before opset 7 training was an attribute": ["pytorch-converted/BatchNorm*"],
    "opset 1": ["node/not_*"],
}


def reason_of(name):
    for reason, patterns in EXCLUDED.items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            return reason
    return None


def nodes_of(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes_of(attribute.g)


def known_inputs(graph):
    """The inputs that a known operand is or is computed from, other than by their shape."""
    producers = {output: node for node in nodes_of(graph) for output in node.output}
    wanted = [node.input[i] for node in nodes_of(graph) for i in KNOWN.get(node.op_type, ())
              if i < len(node.input)]
    known = set()
    while wanted:
        name = wanted.pop()
        if name in known:
            continue
        known.add(name)
        node = producers.get(name)
        if node is not None and node.op_type not in ("Shape", "Size", "ConstantOfShape"):
            wanted.extend(node.input)
            wanted.extend(result.name for attribute in node.attribute
                          for result in attribute.g.output)
    return known


def singles(value):
    """f64 as f32: programs have no f64."""
    return value.astype(numpy.float32) if value.dtype == numpy.float64 else value


def read(path):
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return onnx.numpy_helper.to_array(tensor)


def has_doubles(model):
    double = onnx.TensorProto.DOUBLE
    infos = [*model.graph.input, *model.graph.output]
    casts = [node for node in nodes_of(model.graph) if node.op_type in ("Cast", "CastLike")]
    return any(info.type.tensor_type.elem_type == double for info in infos) and not casts


def in_singles(case, folder, model, scratch):
    """A case in f64 is run in f32, inputs and all."""
    home = scratch / case["name"]
    home.mkdir(parents=True)
    for info in [*model.graph.input, *model.graph.output]:
        if info.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE:
            info.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    onnx.save(model, home / "model.onnx")
    case["model"] = str(home / "model.onnx")
    for kind in ("inputs", "values"):
        for name, path in case[kind].items():
            case[kind][name] = str(home / (Path(path).stem + ".npy"))
            numpy.save(case[kind][name], singles(read(Path(path))))


def case_of(name, folder, model, scratch):
    initialised = {tensor.name for tensor in model.graph.initializer}
    infos = [info for info in model.graph.input if info.name not in initialised]
    known = known_inputs(model.graph)
    case = {"name": name, "model": str(folder / "model.onnx"), "inputs": {}, "values": {},
            "shapes": {}}
    for i, info in enumerate(infos):
        kind = "values" if info.name in known else "inputs"
        case[kind][info.name] = str(folder / "test_data_set_0" / f"input_{i}.pb")
        if kind == "inputs" and info.type.HasField("tensor_type"):
            case["shapes"][info.name] = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
    if has_doubles(model):
        in_singles(case, folder, model, scratch)
    return case


def difference(folder, outcome, doubles):
    """Why the results are not the expected ones, or ""."""
    if outcome["stage"] != "done":
        return f"{outcome['stage']}: {outcome['error']}"
    for i in range(len(list((folder / "test_data_set_0").glob("output_*.pb")))):
        wanted = read(folder / "test_data_set_0" / f"output_{i}.pb")
        wanted = singles(wanted) if doubles else wanted
        got = numpy.load(outcome["directory"] / f"{i}.npy")
        if wanted.dtype != got.dtype or wanted.shape != got.shape:
            return f"output {i}: {got.dtype}{got.shape}, expected {wanted.dtype}{wanted.shape}"
        try:
            numpy.testing.assert_allclose(got, wanted, rtol=RTOL, atol=ATOL)
        except AssertionError as problem:
            return f"output {i}: {problem}"
    return ""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """{name: why it fails, or ""} of the suite's cases of imported operators, and the others."""
    supported = operators()
    scratch = tmp_path_factory.mktemp("onnx")
    cases, folders, doubles, others = [], {}, {}, 0
    for suite in SUITES:
        for folder in sorted((DATA / suite).glob("test_*")):
            model = onnx.load(folder / "model.onnx")
            used = {(node.domain, node.op_type) for node in nodes_of(model.graph)}
            if not used <= supported:
                others += 1
                continue
            name = f"{suite}/{folder.name.removeprefix('test_')}"
            folders[name] = folder
            doubles[name] = has_doubles(model)
            cases.append(case_of(name, folder, model, scratch))
    outcomes = run_cases(scratch, cases)
    return {name: difference(folder, outcomes[name], doubles[name])
            for name, folder in folders.items()}, others


def test_every_case_passes_or_is_excluded(results, tell):
    outcomes, others = results
    wrong, excluded, passed = [], {}, 0
    for name, why in outcomes.items():
        reason = reason_of(name)
        if reason is None and why:
            wrong.append(f"{name}: {why}")
        elif reason is not None and not why:
            wrong.append(f"{name}: passes, but is excluded: {reason}")
        elif reason is not None:
            excluded.setdefault(reason, []).append(name)
        else:
            passed += 1
    tell(f"{passed} of {len(outcomes)} cases of imported operators pass "
         f"(rtol {RTOL}, atol {ATOL}); {others} are of other operators")
    for reason, names in excluded.items():
        tell(f"excluded {len(names)}: {reason}: {', '.join(names)}")
    assert not wrong, "\n".join(wrong)
