# SPDX-License-Identifier: Apache-2.0
"""Models out of files: predict against onnx's own evaluator and torch, save and load."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bcai import InvalidArgument, Model, NotFound, Tensor, Unimplemented, vm

onnx = pytest.importorskip("onnx", reason="needs the onnx package: ./dev setup")
torch = pytest.importorskip("torch", reason="needs torch: ./dev setup")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

RNG = np.random.default_rng(11)
W1 = (RNG.standard_normal((784, 64)) / 28).astype(np.float32)
W2 = (RNG.standard_normal((64, 10)) / 8).astype(np.float32)
BIAS = RNG.standard_normal(64).astype(np.float32)


def classifier() -> Any:
    """A perceptron with two outputs and an open batch."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("Add", ["a", "bias"], ["b"]),
        helper.make_node("Relu", ["b"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "w2"], ["c"]),
        helper.make_node("Softmax", ["c"], ["scores"], axis=1),
    ]
    weights = {"w1": W1, "w2": W2, "bias": BIAS}
    graph = helper.make_graph(
        nodes, "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 784])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10]),
         helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", 64])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "classifier.onnx"
    onnx.save(classifier(), path)
    return path


def images(batch: int) -> np.ndarray:
    return RNG.standard_normal((batch, 784)).astype(np.float32)


def test_an_onnx_model_predicts_as_onnx_does(file: Path) -> None:
    model = Model.load(f"onnx://{file}")
    oracle = ReferenceEvaluator(classifier())
    for batch in (1, 3, 8):
        x = images(batch)
        found = model.predict(x)
        scores, hidden = oracle.run(None, {"x": x})
        assert isinstance(found, dict) and list(found) == ["scores", "hidden"]
        np.testing.assert_allclose(found["scores"], scores, 1e-5, 1e-6)
        np.testing.assert_allclose(found["hidden"], hidden, 1e-5, 1e-6)
    assert [str(each) for each in model.inputs] == ["x: float32[batch, 784]"]
    assert [str(each) for each in model.outputs] == [
        "scores: float32[batch, 10]", "hidden: float32[batch, 64]",
    ]  # fmt: skip
    assert model.quote(batch=2).weight_bytes == W1.nbytes + W2.nbytes + BIAS.nbytes
    assert vm.quote(model, batch=2) == model.quote(batch=2)


def test_every_way_to_give_an_input(file: Path) -> None:
    model = Model.load(file)
    x = images(2)
    expected = model.predict(x)["scores"].tobytes()
    for given in (
        model.predict(x=x), model.predict({"x": x}), model.predict(Tensor(x)),
        model.predict(torch.from_numpy(x)), model.predict(x.tolist()), model.predict(x[::-1][::-1]),
        model.predict(np.asfortranarray(x)), model.predict(x, threads=1),
        model.predict(x, threads=3), {"scores": model.run(x)["scores"].to_numpy()},
    ):  # fmt: skip
        assert given["scores"].tobytes() == expected


def test_a_row_is_the_same_in_every_batch(file: Path) -> None:
    model = Model.load(file)
    x = images(8)
    together = model.predict(x)["scores"]
    for i in range(8):
        assert model.predict(x[i : i + 1])["scores"].tobytes() == together[i].tobytes()


def test_two_threads_predict_at_once(file: Path) -> None:
    model = Model.load(file)
    inputs = [images(1 + i % 3) for i in range(6)]
    expected = [model.predict(x)["scores"].tobytes() for x in inputs]
    found: dict[tuple[int, int], bytes] = {}

    def work(thread: int) -> None:
        for i in range(30):
            found[thread, i] = model.predict(inputs[i % 6])["scores"].tobytes()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 90
    assert all(bits == expected[i % 6] for (_, i), bits in found.items())


def test_saved_and_loaded_gives_the_same_bits(file: Path, tmp_path: Path) -> None:
    model = Model.load(file)
    x = images(3)
    expected = model.predict(x)
    model.save(tmp_path / "m.bcvm")
    model.save(tmp_path / "directory")
    model.save(f"file://{tmp_path}/n.bcvm")
    assert sorted(path.name for path in (tmp_path / "directory").iterdir()) == [
        "model.bcvm", "model.safetensors",
    ]  # fmt: skip
    for address in ("m.bcvm", "directory", "n.bcvm", "directory/model.bcvm"):
        again = Model.load(f"file://{tmp_path / address}")
        found = again.predict(x)
        assert again.program == model.program
        assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)
    text = tmp_path / "text.bcasm"
    again.program.save(text)
    (tmp_path / "m.safetensors").rename(tmp_path / "elsewhere.safetensors")
    found = Model.load(text, weights=[tmp_path / "elsewhere.safetensors"]).predict(x)
    assert found["scores"].tobytes() == expected["scores"].tobytes()


def test_weights_that_are_not_the_programs(file: Path, tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    Model.load(file).save(tmp_path / "m.bcvm")
    weights = tmp_path / "m.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(NotFound, match="weight file 'model' .* is missing: looked beside"):
        Model.load(tmp_path / "m.bcvm")
    weights.unlink()
    with pytest.raises(NotFound, match="name it by weights="):
        Model.load(tmp_path / "m.bcvm")


def test_import_options(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "to"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6]),
         helper.make_tensor_value_info("to", TensorProto.INT64, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, tmp_path / "g.onnx")
    loaded = Model.load(tmp_path / "g.onnx", values={"to": [-1, 3]}, ranges={"n": [2, 10, 2]})
    assert [each.name for each in loaded.inputs] == ["x"]
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(loaded.predict(x), x.reshape(-1, 3))
    fixed = Model.load(tmp_path / "g.onnx", values={"to": [2, 3]}, shapes={"x": [1, 6]})
    assert fixed.inputs[0].shape == (1, 6)
    with pytest.raises(InvalidArgument, match="range of 'n' has 1 numbers"):
        Model.load(tmp_path / "g.onnx", ranges={"n": [2]})


@pytest.mark.parametrize(("inputs", "message"), [
    ((), "input 'x' is missing (the inputs are x)"),
    ((np.zeros((1, 784)),), "input 'x': the array is float64"),
    ((np.zeros((1, 784), np.int32),), "input 'x' is int32, expected float32"),
    ((np.zeros((1, 783), np.float32),), "783"),
    ((np.zeros(784, np.float32),), "x"),
    ((np.zeros((0, 784), np.float32),), "batch"),
    ((np.zeros((65, 784), np.float32),), "batch"),
    (([["x"]],), "input 'x': a list of numbers holds 'x'"),
])  # fmt: skip
def test_inputs_that_do_not_fit(file: Path, inputs: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Model.load(file).predict(*inputs)
    assert message in str(refused.value)


def test_addresses(file: Path, tmp_path: Path) -> None:
    for address, error, message in [
        ("s3://bucket/model", Unimplemented, "expected onnx://PATH, file://PATH, huggingface://"),
        ("https://example.org/m.onnx", Unimplemented, "expected onnx://PATH"),
        (f"onnx://{tmp_path}/none.onnx", NotFound, "there is no"),
        (f"onnx://{tmp_path}", InvalidArgument, "ends with .onnx"),
        (tmp_path / "empty", InvalidArgument, "found none"),
        (tmp_path / "readme.txt", InvalidArgument, "expected .bcvm, .bcasm, .onnx or a directory"),
        ("huggingface://bert-base-uncased", NotFound, "load it with download=True"),
        ("huggingface://../../etc", InvalidArgument, "expected NAME or ORGANISATION/NAME"),
    ]:
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "readme.txt").touch()
        with pytest.raises(error) as refused:
            Model.load(address)
        assert message in str(refused.value)
    model = Model.load(tmp_path / "classifier.onnx")
    with pytest.raises(Unimplemented, match="copy the files from there"):
        model.save("s3://my-bucket/trained-model")
    with pytest.raises(InvalidArgument, match="ends with .bcvm, or a directory"):
        model.save(tmp_path / "readme.txt")
    with pytest.raises(InvalidArgument, match="weights are for programs"):
        Model.load(file, weights=[file])


def test_a_model_that_cannot_be_imported_says_all_of_why(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["a"], name="one"),
         helper.make_node("Det", ["x"], ["b"], name="two")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])],
        [helper.make_tensor_value_info("a", TensorProto.INT64, [2, None]),
         helper.make_tensor_value_info("b", TensorProto.FLOAT, [])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph), tmp_path / "g.onnx")
    with pytest.raises(Unimplemented) as refused:
        Model.load(tmp_path / "g.onnx")
    assert "NonZero" in str(refused.value) and "Det" in str(refused.value)


def test_what_stays_compiled_is_bounded(file: Path) -> None:
    model = Model.load(file)
    for batch in range(1, 9):
        model.predict(images(batch))
    assert len(model._executables._things) == 4


def test_repr(file: Path) -> None:
    assert repr(Model.load(file)).startswith("<Model (x: float32[batch, 784]) -> (scores: ")
