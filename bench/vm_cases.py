# SPDX-License-Identifier: Apache-2.0
"""What bench/vm.py compares: one thing to compute, and each contender's way to compute it."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import bcai
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parent.parent
WITH_COMPILE = True
# The extension module as it was built, not installed.
bcai.__path__.append(str(ROOT / "build" / "release" / "python" / "bcai"))

Call = Callable[[], Any]
# Their operands come from memory: as many copies as no cache holds.
COLD_BYTES = 256 << 20


@dataclass
class Case:
    """`contenders(threads)` gives calls that return the same array; "bcai" is among them. The goal
    is against the peer that is named, else against the best."""

    name: str
    goal: float | None
    flops: float
    bytes_read: float
    contenders: Callable[[int], dict[str, Call]]
    peer: str | None = None


def turns(calls: Sequence[Call]) -> Call:
    """Each call in turn; the result is the first's."""
    at = [0]
    first = calls[0]()

    def call() -> Any:
        at[0] = (at[0] + 1) % len(calls)
        calls[at[0]]()
        return first

    return call


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(seed + sum(shape))
    return (scale * generator.standard_normal(shape)).astype(np.float32)


# Contenders.


def bcai_call(model: Any, threads: int, *inputs: np.ndarray) -> Call:
    from bcai import Tensor

    tensors = [Tensor(array) for array in inputs]
    executable = model._executable([list(tensor.shape) for tensor in tensors], threads)
    buffers = [tensor._buffer for tensor in tensors]

    def call() -> np.ndarray:
        return Tensor._of(executable.run(buffers, False)[0]).to_numpy()

    return call


def built(build: Callable[[Any], Any]) -> Any:
    from bcai import vm

    b = vm.Builder()
    return b.model(y=build(b))


def torch_call(function: Callable[..., torch.Tensor], *inputs: np.ndarray) -> Call:
    tensors = [torch.from_numpy(array) for array in inputs]

    def call() -> np.ndarray:
        with torch.inference_mode():
            return function(*tensors).numpy()

    return call


def torch_calls(function: Callable[..., torch.Tensor], *inputs: np.ndarray) -> dict[str, Call]:
    calls = {"torch": torch_call(function, *inputs)}
    if WITH_COMPILE:
        torch._dynamo.reset()
        calls["torch.compile"] = torch_call(torch.compile(function), *inputs)
    return calls


def onnxruntime_call(model: bytes | str, threads: int, *inputs: np.ndarray) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    feed = dict(zip(names, inputs, strict=True))
    output = [session.get_outputs()[0].name]
    return lambda: session.run(output, feed)[0]


def openvino_call(model: bytes | str, threads: int, *inputs: np.ndarray) -> Call:
    import openvino

    core = openvino.Core()
    read = core.read_model(model) if isinstance(model, str) else core.read_model(model, b"")
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(read, "CPU", settings).create_infer_request()
    feed = dict(enumerate(inputs))
    return lambda: request.infer(feed, share_inputs=True)[0]


def onnx_calls(model: bytes | str, threads: int, *inputs: np.ndarray) -> dict[str, Call]:
    return {"onnxruntime": onnxruntime_call(model, threads, *inputs),
            "openvino": openvino_call(model, threads, *inputs)}


def onnx_node(
    op: str, inputs: dict[str, Sequence[int]], weights: dict[str, np.ndarray],
    output: Sequence[int], domain: str = "", **attributes: Any
) -> bytes:
    """A model of one node, its operands in the order inputs, weights."""
    def value(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [helper.make_node(op, [*inputs, *weights], ["y"], domain=domain, **attributes)], "one",
        [value(name, shape) for name, shape in inputs.items()], [value("y", output)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


# Kernels.


def matmul(m: int, n: int, k: int, goal: float | None) -> Case:
    weight_bytes = 4 * n * k
    copies = 1 + COLD_BYTES // weight_bytes if m <= 8 else 1

    def contenders(threads: int) -> dict[str, Call]:
        x = random(m, k)
        made: dict[str, list[Call]] = {"bcai": [], "torch": [], "onnxruntime": [], "openvino": []}
        for copy in range(copies):
            w = random(k, n, seed=copy, scale=k**-0.5)
            model = built(lambda b, w=w: b.TensorMatMul(
                b.argument("x", "float32", [m, k]), b.weight("w", w)))
            made["bcai"].append(bcai_call(model, threads, x))
            # As PyTorch's Linear keeps it.
            transposed = torch.from_numpy(np.ascontiguousarray(w.T))
            made["torch"].append(torch_call(
                lambda x, w=transposed: torch.nn.functional.linear(x, w), x))
            one = onnx_node("MatMul", {"x": [m, k]}, {"w": w}, [m, n])
            for name, call in onnx_calls(one, threads, x).items():
                made[name].append(call)
        return {name: turns(calls) for name, calls in made.items()}

    size = f"{m}x{n}x{k}"
    return Case(f"matmul {size}", goal, 2.0 * m * n * k, weight_bytes, contenders)


def attention(queries: int, keys: int, goal: float | None, heads: int = 12, size: int = 64) -> Case:
    width = heads * size
    cache_bytes = 2 * 4 * keys * width
    copies = 1 + COLD_BYTES // cache_bytes if queries <= 8 else 1
    scale = size**-0.5

    def fused(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        q, k, v = (x.view(1, -1, heads, size).transpose(1, 2) for x in (q, k, v))
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return mixed.transpose(1, 2).reshape(1, queries, width)

    def contenders(threads: int) -> dict[str, Call]:
        model = built(lambda b: b.TransformerAttention(
            b.argument("q", "float32", [1, queries, width]),
            b.argument("k", "float32", [1, keys, width]),
            b.argument("v", "float32", [1, keys, width]), heads=heads, scale=scale))
        shapes = {"q": [1, queries, width], "k": [1, keys, width], "v": [1, keys, width]}
        one = onnx_node("MultiHeadAttention", shapes, {}, [1, queries, width],
                        domain="com.microsoft", num_heads=heads)
        made: dict[str, list[Call]] = {"bcai": [], "torch": [], "onnxruntime": []}
        for copy in range(copies):
            inputs = (random(1, queries, width), random(1, keys, width, seed=1 + 2 * copy),
                      random(1, keys, width, seed=2 + 2 * copy))
            made["bcai"].append(bcai_call(model, threads, *inputs))
            made["torch"].append(torch_call(fused, *inputs))
            made["onnxruntime"].append(onnxruntime_call(one, threads, *inputs))
        return {name: turns(calls) for name, calls in made.items()}

    name = f"attention S={queries}" if queries == keys else f"decode attention kv={keys}"
    return Case(name, goal, 4.0 * heads * queries * keys * size, cache_bytes, contenders)


def rowwise(
    name: str, shape: Sequence[int], build: Callable[..., Any],
    function: Callable[..., torch.Tensor], operands: int = 1, weights: int = 0
) -> Case:
    """Against PyTorch eager; torch.compile is shown beside it."""
    def contenders(threads: int) -> dict[str, Call]:
        inputs = [random(*shape, seed=i) for i in range(operands)]
        scales = [random(shape[-1], seed=9 + i) for i in range(weights)]

        def program(b: Any) -> Any:
            arguments = [b.argument(f"x{i}", "float32", list(shape)) for i in range(operands)]
            return build(b, *arguments, *[b.weight(f"w{i}", s) for i, s in enumerate(scales)])

        tensors = [torch.from_numpy(scale) for scale in scales]
        calls = {"bcai": bcai_call(built(program), threads, *inputs)}
        return calls | torch_calls(lambda *x: function(*x, *tensors), *inputs)

    elements = float(np.prod(shape))
    size = "x".join(map(str, shape))
    return Case(f"{name} {size}", 2.5, 0, 4 * elements * (operands + 1), contenders, "torch")


def kernels() -> list[Case]:
    from torch.nn import functional

    return [
        matmul(1024, 1024, 1024, 1.0),
        matmul(1, 4096, 4096, 1.0),
        matmul(8, 4096, 4096, 1.2),
        attention(128, 128, 1.15),
        attention(512, 512, 1.15),
        attention(1, 2048, 1.2),
        rowwise("softmax", (1536, 128), lambda b, x: b.Softmax(x, axis=1),
                lambda x: torch.softmax(x, 1)),
        rowwise("LayerNorm", (128, 768), lambda b, x, g, s: b.LayerNorm(x, g, s),
                lambda x, g, s: functional.layer_norm(x, (768,), g, s), weights=2),
        rowwise("residual and LayerNorm", (128, 768),
                lambda b, x, y, g, s: b.LayerNorm(b.Add(x, y), g, s),
                lambda x, y, g, s: functional.layer_norm(x + y, (768,), g, s), operands=2,
                weights=2),
        rowwise("relu(a*b + b)", (1024, 1024), lambda b, x, y: b.Relu(b.Add(b.Mul(x, y), y)),
                lambda x, y: torch.relu(x * y + y), operands=2),
        rowwise("gelu(a + b) * a", (128, 3072), lambda b, x, y: b.Mul(b.Gelu(b.Add(x, y)), x),
                lambda x, y: functional.gelu(x + y) * x, operands=2),
        rowwise("silu(a) * b", (128, 3072), lambda b, x, y: b.Mul(b.Silu(x), y),
                lambda x, y: functional.silu(x) * y, operands=2),
    ]


# Whole models.


class Files:
    """Models as files, made once: a directory for transformers, an ONNX file beside it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def encoder(self, name: str, **sizes: int) -> tuple[pathlib.Path, str, torch.nn.Module]:
        import transformers

        torch.manual_seed(1)
        config = transformers.BertConfig(hidden_dropout_prob=0, attention_probs_dropout_prob=0,
                                         **sizes)
        model = transformers.BertModel(config, add_pooling_layer=False).eval()
        home = self.directory / name
        if not home.exists():
            model.save_pretrained(home)

        class Plain(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor
                        ) -> torch.Tensor:
                return self.model(ids, mask, types).last_hidden_state

        file = self.directory / f"{name}.onnx"
        example = tuple(torch.from_numpy(array) for array in encoder_inputs())
        self.export(Plain().eval(), example, ["input_ids", "attention_mask", "token_type_ids"],
                    file)
        return home, str(file), Plain().eval()

    def resnet(self) -> tuple[str, torch.nn.Module]:
        torch.manual_seed(1)
        model = ResNet50().eval()
        file = self.directory / "ResNet-50.onnx"
        self.export(model, (torch.zeros(1, 3, 224, 224),), ["x"], file)
        return str(file), model

    @staticmethod
    def export(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str],
               file: pathlib.Path) -> None:
        if not file.exists():
            torch.onnx.export(model, inputs, str(file), input_names=names, opset_version=18,
                              dynamo=True, external_data=False)


class Bottleneck(torch.nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        def step(a: int, b: int, kernel: int, stride: int = 1) -> torch.nn.Sequential:
            return torch.nn.Sequential(
                torch.nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False),
                torch.nn.BatchNorm2d(b))

        self.first, self.second = step(inputs, width, 1), step(width, width, 3, stride)
        self.third = step(width, 4 * width, 1)
        same = inputs == 4 * width and stride == 1
        self.shortcut = torch.nn.Identity() if same else step(inputs, 4 * width, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.second(torch.relu(self.first(x))))
        return torch.relu(self.third(y) + self.shortcut(x))


class ResNet50(torch.nn.Module):
    """He et al., "Deep Residual Learning for Image Recognition", table 1."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = [
            torch.nn.Conv2d(3, 64, 7, 2, 3, bias=False), torch.nn.BatchNorm2d(64),
            torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1)]
        inputs = 64
        for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for block in range(blocks):
                layers.append(Bottleneck(inputs, width, stride if block == 0 else 1))
                inputs = 4 * width
        self.body = torch.nn.Sequential(*layers)
        self.head = torch.nn.Linear(2048, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


SIZES = {
    "MiniLM": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
               "intermediate_size": 1536},
    "BERT-base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
                  "intermediate_size": 3072},
}


def encoder_inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids = (np.arange(128, dtype=np.int64) * 211 % 30000)[None]
    return ids, np.ones_like(ids), np.zeros_like(ids)


def bcai_encoder(home: pathlib.Path, threads: int) -> Call:
    from bcai import Model

    return bcai_call(Model.load(str(home)), threads,
                     *[array.astype(np.int32) for array in encoder_inputs()])


def encoder_case(name: str, goal: float, files: Files) -> Case:
    sizes = SIZES[name]
    width, layers = sizes["hidden_size"], sizes["num_hidden_layers"]
    dense = layers * 128 * (4 * width * width + 2 * width * sizes["intermediate_size"])
    flops = 2.0 * (dense + layers * 2 * 128 * 128 * width)

    def contenders(threads: int) -> dict[str, Call]:
        home, file, model = files.encoder(name, **sizes)
        calls = {"bcai": bcai_encoder(home, threads)}
        calls |= torch_calls(model, *encoder_inputs())
        return calls | onnx_calls(file, threads, *encoder_inputs())

    return Case(f"{name} S=128", goal, flops, 0, contenders)


def resnet_case(files: Files) -> Case:
    x = random(1, 3, 224, 224)

    def contenders(threads: int) -> dict[str, Call]:
        from bcai import Model

        file, model = files.resnet()
        calls = {"bcai": bcai_call(Model.load(file), threads, x)}
        nhwc = model.to(memory_format=torch.channels_last)
        calls |= torch_calls(nhwc, x)
        return calls | onnx_calls(file, threads, x)

    return Case("ResNet-50 b1", 1.0, 8.18e9, 0, contenders)


def ocr_case(name: str, file: str, shape: Sequence[int]) -> Case:
    x = random(*shape)

    def contenders(threads: int) -> dict[str, Call]:
        from bcai import Model

        package = importlib.util.find_spec("rapidocr_onnxruntime")
        assert package and package.submodule_search_locations, "needs the models of ./dev setup"
        path = str(pathlib.Path(package.submodule_search_locations[0], "models", file))
        model = Model.load(path, shapes={"x": list(shape)})
        return {"bcai": bcai_call(model, threads, x),
                "onnxruntime": onnxruntime_call(path, threads, x)}

    return Case(f"PP-OCR {name}", 1.2, 0, 0, contenders)


def all_cases(directory: pathlib.Path) -> list[Case]:
    files = Files(directory)
    return [
        *kernels(),
        encoder_case("MiniLM", 1.2, files),
        encoder_case("BERT-base", 1.12, files),
        resnet_case(files),
        ocr_case("det", "ch_PP-OCRv4_det_infer.onnx", (1, 3, 320, 320)),
        ocr_case("rec", "ch_PP-OCRv4_rec_infer.onnx", (1, 3, 48, 320)),
    ]


def programs(directory: pathlib.Path) -> dict[str, Any]:
    """What verification is timed on: two models, and 10,000 instructions in a row."""
    from bcai import Model, vm

    files = Files(directory)
    files.encoder("BERT-base", **SIZES["BERT-base"])
    b = vm.Builder()
    x = b.argument("x", "float32", [b.symbol("B", 1, 64), b.symbol("S", 1, 512), 64])
    w = b.weight("w", random(64, 64))
    y = x
    for _ in range(2500):
        y = b.Softmax(b.Relu(b.Add(b.TensorMatMul(y, w), x)), axis=2)
    return {"BERT-base": Model.load(str(directory / "BERT-base")).program,
            "ResNet-50": Model.load(files.resnet()[0]).program, "synthetic": b.model(y=y).program}


# In processes of their own.


def load_only(name: str, contender: str, directory: pathlib.Path) -> None:
    """Loads a model that all_cases has made and runs it once."""
    file = str(directory / f"{name}.onnx")
    inputs = (random(1, 3, 224, 224),) if name == "ResNet-50" else encoder_inputs()
    if contender == "onnxruntime":
        onnxruntime_call(file, 1, *inputs)()
    elif contender == "bcai" and name == "ResNet-50":
        from bcai import Model

        bcai_call(Model.load(file), 1, *inputs)()
    elif contender == "bcai":
        bcai_encoder(directory / name, 1)()


def peak_megabytes() -> float:
    """Of this program alone: getrusage also counts what the process was before it was executed."""
    status = pathlib.Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1000


if __name__ == "__main__":
    models = ROOT / "build" / "bench-models"
    if sys.argv[1] == "memory":
        load_only(sys.argv[2], sys.argv[3], models)
        print(peak_megabytes())
    else:
        from bcai import Model

        began = time.perf_counter()
        model = Model.load(str(models / sys.argv[2]))
        shapes = [list(array.shape) for array in encoder_inputs()]
        executable = model._executable(shapes, 1)
        print(1000 * (time.perf_counter() - began))
