# SPDX-License-Identifier: Apache-2.0
"""Models written in torch, exported with open batch and length, and run at other sizes."""
import numpy
import pytest
from onnx_program import find_program, run_cases

torch = pytest.importorskip("torch", reason="needs torch: ./dev setup")
pytest.importorskip("onnx", reason="needs the onnx package: ./dev setup")
if find_program() is None:
    pytest.skip("needs the onnx_run program: ./dev build", allow_module_level=True)

nn = torch.nn
WIDTH, HEADS, WORDS, LENGTH = 64, 4, 100, 64


def heads_of(x):
    return x.view(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)


def joined(x):
    return x.transpose(1, 2).reshape(x.shape[0], -1, WIDTH)


class Encoder(nn.Module):
    """A block of BERT: embeddings, masked attention, an erf GELU, the mean over what counts."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.wide, self.narrow = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.register_buffer("order", torch.arange(LENGTH)[None])

    def forward(self, ids, mask):
        x = self.norm(self.words(ids) + self.places(self.order[:, :ids.shape[1]]))
        away = (1.0 - mask[:, None, None, :].float()) * -10000.0
        scores = heads_of(self.q(x)) @ heads_of(self.k(x)).transpose(-1, -2) / 4.0 + away
        x = self.norm(x + self.out(joined(torch.softmax(scores, -1) @ heads_of(self.v(x)))))
        x = x + self.narrow(nn.functional.gelu(self.wide(x)))
        counts = mask[:, :, None].expand(x.shape).float()
        return (x * counts).sum(1) / torch.clamp(counts.sum(1), min=1e-9)


class Decoder(nn.Module):
    """A block of GPT-2: a causal mask out of a buffer, and one as torch writes it."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.norm, self.qkv = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        lower = torch.tril(torch.ones(LENGTH, LENGTH, dtype=torch.bool))
        self.register_buffer("lower", lower[None, None])

    def forward(self, ids):
        length = ids.shape[1]
        x = self.words(ids) + self.places(torch.arange(0, length)[None])
        q, k, v = (heads_of(part) for part in self.qkv(self.norm(x)).split(WIDTH, 2))
        scores = q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5
        least = torch.finfo(scores.dtype).min
        scores = torch.where(self.lower[:, :, :length, :length], scores, least)
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + nn.functional.gelu(self.out(joined(torch.softmax(scores, -1) @ v)),
                                   approximate="tanh")
        return (x + joined(y)) @ self.words.weight.T


class Residual(nn.Module):
    """A block of ResNet and one of MobileNet."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16),
                                   nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.block = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
                                   nn.Conv2d(16, 16, 3, padding=1))
        self.mobile = nn.Sequential(nn.Conv2d(16, 16, 3, 2, 1, groups=16), nn.Hardswish(),
                                    nn.Conv2d(16, 32, 1), nn.ReLU6())
        self.head = nn.Linear(32, 10)

    def forward(self, images):
        x = self.first(images)
        x = self.mobile(torch.relu(x + self.block(x)))
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(32, 12, batch_first=True)

    def forward(self, signal):
        return self.gru(self.lstm(signal)[0])[0]


def words(*shape):
    return torch.randint(0, WORDS, shape)


# module, the inputs it is exported with, the inputs it runs with
MODELS = {
    "encoder": (Encoder, {"ids": words(2, 7), "mask": torch.ones(2, 7, dtype=torch.long)},
                {"ids": words(3, 11), "mask": torch.arange(33).view(3, 11) % 4 != 3}),
    "decoder": (Decoder, {"ids": words(2, 7)}, {"ids": words(3, 11)}),
    "residual": (Residual, {"images": torch.randn(2, 3, 64, 64)},
                 {"images": torch.randn(3, 3, 64, 64)}),
    "recurrent": (Recurrent, {"signal": torch.randn(2, 5, 8)},
                  {"signal": torch.randn(2, 9, 8)}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [12, 14, 17])
@pytest.mark.parametrize("name", MODELS)
def test_as_torch(name, opset, tmp_path):
    if name == "decoder" and opset < 14:
        pytest.skip("torch exports its attention since opset 14")
    torch.manual_seed(0)
    make, exported, inputs = MODELS[name]
    module = make().eval()
    open_axes = {"residual": {0: "batch"}, "recurrent": {1: "length"}}.get(
        name, {0: "batch", 1: "length"})
    path = tmp_path / "model.onnx"
    torch.onnx.export(module, tuple(exported.values()), str(path), input_names=list(exported),
                      output_names=["y"], opset_version=opset, dynamo=False,
                      dynamic_axes={key: open_axes for key in exported})
    case = {"name": name, "model": str(path), "inputs": {}, "ranges": {"length": [1, LENGTH, 1]}}
    for key, tensor in inputs.items():
        case["inputs"][key] = str(tmp_path / f"{key}.npy")
        numpy.save(case["inputs"][key], tensor.to(exported[key].dtype).numpy())
    outcome = run_cases(tmp_path, [case])[name]
    assert outcome["stage"] == "done", f"{outcome['stage']}: {outcome['error']}"
    with torch.no_grad():
        wanted = module(*(inputs[key].to(exported[key].dtype) for key in exported)).numpy()
    got = numpy.load(outcome["directory"] / "0.npy")
    numpy.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
