# SPDX-License-Identifier: Apache-2.0
"""Models that read text: those in the layout of Hugging Face, and what was saved of them.

    model = Model.load("huggingface://sentence-transformers/all-MiniLM-L6-v2")
    vectors = model.predict(["what a node earns", "the price of a job"])

    model = Model.load("huggingface://gpt2")
    print(model.generate("The answer is", max_tokens=20))
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcai.errors import InvalidArgument, NotFound, Unimplemented
from bcai.model import Model
from bcai.model_files import ModelDirectory
from bcai.tensor import Tensor
from bcai.vm.builder import Builder
from bcai.vm.extension import _vm

if TYPE_CHECKING:
    import numpy
    from tokenizers import Encoding, Tokenizer

# Texts are padded to a multiple, so that texts of many lengths share what is compiled. Padding is
# masked and changes no bit of a result.
_LENGTH_STEP = 32
# A prompt is read so many tokens at a time, then token by token: two programs for all lengths.
_PROMPT_STEP = 16
# What save() keeps beside the program.
_KEPT_FILES = (
    "config.json", "generation_config.json", "modules.json", "sentence_bert_config.json",
    "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip


class TextModel(Model):
    """A :class:`~bcai.Model` whose directory tells how text becomes its input.

    ``predict`` takes arrays as any model's does, and text. Cutting text into tokens is done by the
    library ``tokenizers`` (``pip install 'bcai[text]'``) with the model's ``tokenizer.json``.
    """

    def __init__(self, native: _vm.Model, directory: Path) -> None:
        """For this package; use :meth:`bcai.Model.load`."""
        super().__init__(native)
        self._directory = ModelDirectory(directory)
        self._config = self._directory.read_json("config.json")
        self._loaded: Tokenizer | None = None
        names = {output.name for output in self.outputs}
        self._is_decoder = "logits" in names
        self._head = _Head.load(self._directory) if not self._is_decoder else None

    @classmethod
    def _import(cls, directory: Path, ranges: Mapping[str, Sequence[int]], store: Path) -> Model:
        for name, range_ in ranges.items():
            if name not in ("B", "S") or len(range_) != 2:
                raise InvalidArgument(
                    f"ranges: expected B (batch) and S (tokens) with two numbers, found {name}: "
                    f"{list(range_)}"
                )
        batch, tokens = ranges.get("B", (1, 64)), ranges.get("S", (1, 0))
        native = _vm.Model.import_huggingface(str(directory), str(store), list(batch), list(tokens))
        return cls(native, directory)

    def predict(
        self, *inputs: Any, threads: int | None = None, **named: Any
    ) -> numpy.ndarray[Any, Any] | dict[str, numpy.ndarray[Any, Any]]:
        """As :meth:`bcai.Model.predict`, and for text: a string, or a list of strings.

        - Of a sentence model (``modules.json``): the embeddings, float32 ``[texts, width]``, or
          ``[width]`` for one string; pooled and normalised on the VM as the model's files say. What
          is longer than the model's ``max_seq_length`` is cut there.
        - Of another encoder: its outputs by name and ``attention_mask``, padded to the longest
          text. A text of more tokens than the model has positions is refused.
        - Of a decoder: see :meth:`generate`.

        A text's result has the same bits alone and among others.
        """
        texts = _texts_of(inputs) if not named else None
        if texts is None:
            return super().predict(*inputs, threads=threads, **named)
        if self._is_decoder:
            raise InvalidArgument("this model goes on with a text: generate(text, max_tokens=…)")
        largest = self._limits()["B"]
        parts = [
            self._encode(texts[i : i + largest], threads) for i in range(0, len(texts), largest)
        ]
        if self._head is not None:
            vectors = Tensor.concat([part["embedding"] for part in parts]).to_numpy()
            return vectors[0] if isinstance(inputs[0], str) else vectors
        return _joined(parts)

    def generate(self, text: str, max_tokens: int = 64, threads: int | None = None) -> str:
        """What the model goes on with after ``text``: at each step the likeliest token, the first
        of equals, until the model ends or ``max_tokens`` are made. The same on every machine."""
        if not self._is_decoder:
            raise InvalidArgument("this model encodes text: predict(texts)")
        prompt = self._tokenizer().encode(text).ids
        rows = next(int(each.shape[1]) for each in self.inputs if each.state)
        if not prompt or len(prompt) + max_tokens > rows + 1:
            raise InvalidArgument(
                f"{len(prompt)} tokens and {max_tokens} more: expected at least one, and at most "
                f"{rows} together"
            )
        made = self._continued(prompt, max_tokens, threads)
        continued: str = self._tokenizer().decode(made)
        return continued

    def save(self, path: Any) -> None:
        """As :meth:`bcai.Model.save`; into a directory, what text needs is saved too."""
        super().save(path)
        target = Path(str(path).removeprefix("file://")).expanduser()
        if not target.is_dir():
            return
        names = [*_KEPT_FILES, *(self._head.files if self._head is not None else ())]
        for name in names:
            if not self._directory.contains(name):
                continue
            source = self._directory.find(name)
            if source != (target / name).resolve():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / name)

    def _continued(self, prompt: list[int], max_tokens: int, threads: int | None) -> list[int]:
        names = [output.name for output in self.outputs]
        states = [
            Tensor.create([int(dim) if dim != "B" else 1 for dim in each.shape], each.dtype)
            for each in self.inputs
            if each.state
        ]
        ends = self._ends()
        made: list[int] = []
        position, waiting = 0, list(prompt)
        while True:
            count = _PROMPT_STEP if len(waiting) >= _PROMPT_STEP else 1
            tokens = Tensor([waiting[:count]], dtype="int32")
            inputs = [tokens, Tensor(position, dtype="int32"), *states]
            executable = self._executable([list(each.shape) for each in inputs], threads)
            results = executable.run([each._buffer for each in inputs], states_in_place=True)
            given = dict(zip(names, map(Tensor._of, results), strict=True))
            states = [given[each.name] for each in self.inputs if each.state]
            position, waiting = position + count, waiting[count:]
            if waiting:
                continue
            token = int(given["logits"][0, -1].argmax().item())
            if token in ends:
                return made
            made.append(token)
            if len(made) >= max_tokens:
                return made
            waiting = [token]

    def _ends(self) -> set[int]:
        name, config = "generation_config.json", self._config
        if self._directory.contains(name):
            config = self._directory.read_json(name)
        end = config.get("eos_token_id", self._config.get("eos_token_id"))
        return set(end if isinstance(end, list) else [] if end is None else [end])

    def _encode(self, texts: Sequence[str], threads: int | None) -> dict[str, Tensor]:
        encodings = self._encodings(texts)
        longest = max(len(each.ids) for each in encodings)
        length = min(-(-longest // _LENGTH_STEP) * _LENGTH_STEP, self._limits()["S"])
        columns = {"input_ids": "ids", "attention_mask": "attention_mask",
                   "token_type_ids": "type_ids"}  # fmt: skip
        inputs = {}
        for argument in self.inputs:
            rows = [list(getattr(each, columns[argument.name])) for each in encodings]
            padding = self._padding() if argument.name == "input_ids" else 0
            padded = [row + [padding] * (length - len(row)) for row in rows]
            inputs[argument.name] = Tensor(padded, dtype=argument.dtype)
        outputs = self.run(inputs, threads=threads)
        outputs["attention_mask"] = inputs["attention_mask"]
        if self._head is not None:
            return {"embedding": self._head.run(outputs, self._limits())}
        return {
            name: each[:, :longest] if name in ("last_hidden_state", "attention_mask") else each
            for name, each in outputs.items()
        }

    def _encodings(self, texts: Sequence[str]) -> list[Encoding]:
        positions = self._limits()["S"]
        encodings: list[Encoding] = self._tokenizer().encode_batch(list(texts))
        long = [
            f"text {i} has {len(each.ids)}"
            for i, each in enumerate(encodings)
            if len(each.ids) > positions
        ]
        if long:
            raise InvalidArgument(f"the model takes {positions} tokens: {'; '.join(long)}")
        return encodings

    def _limits(self) -> dict[str, int]:
        return {symbol.name: symbol.max for symbol in self.program.symbols}

    def _padding(self) -> int:
        return int(self._config.get("pad_token_id") or 0)

    def _tokenizer(self) -> Tokenizer:
        if self._loaded is None:
            tokenizer = _load_tokenizer(self._directory)
            if self._head is not None and self._head.length is not None:
                tokenizer.enable_truncation(min(self._head.length, self._limits()["S"]))
            self._loaded = tokenizer
        return self._loaded


class _Head:
    """What a sentence model does after its encoder: pooling, and perhaps normalisation."""

    def __init__(
        self, pooling: str, normalises: bool, length: int | None, files: list[str]
    ) -> None:
        self.length = length
        self.files = files
        self._pooling = pooling
        self._normalises = normalises
        self._model: Model | None = None

    @classmethod
    def load(cls, directory: ModelDirectory) -> _Head | None:
        if not directory.contains("modules.json"):
            return None
        modules = directory.read_json("modules.json", list)
        if wrong := [i for i, module in enumerate(modules) if not _is_module(module)]:
            raise InvalidArgument(
                "modules.json: expected objects with a text type, and of a Pooling a text path; "
                f"found others at {wrong[:50]}"
            )
        pooling, normalises, files = "", False, []
        for module in modules:
            kind = _kind_of(module)
            if kind == "Pooling":
                files.append(f"{module['path']}/config.json")
                pooling = _pooling_of(directory, files[-1])
            elif kind == "Normalize":
                normalises = True
            elif kind != "Transformer":
                raise Unimplemented(f"modules.json: a module of kind {kind or module!r}")
        if not pooling:
            raise Unimplemented("modules.json: no module pools what the encoder gives")
        limits = "sentence_bert_config.json"
        found = directory.read_json(limits) if directory.contains(limits) else {}
        return cls(pooling, normalises, found.get("max_seq_length"), files)

    def run(self, outputs: Mapping[str, Tensor], limits: Mapping[str, int]) -> Tensor:
        """The embeddings, f32[B,H], of ``last_hidden_state`` and ``attention_mask``."""
        hidden, mask = outputs["last_hidden_state"], outputs["attention_mask"]
        if self._model is None:
            self._model = self._written(hidden.shape[2], limits)
        return self._model.run(hidden, mask, threads=1)["embedding"]

    def _written(self, width: int, limits: Mapping[str, int]) -> Model:
        b = Builder()
        rows, tokens = b.symbol("B", 1, limits["B"]), b.symbol("S", 1, limits["S"])
        hidden = b.argument("hidden", "float32", [rows, tokens, width])
        mask = b.argument("mask", "int32", [rows, tokens])
        weights = b.Reshape(b.Cast(mask, dtype="float32"), shape=[rows, tokens, 1])
        if self._pooling == "mean":
            total = b.ReduceSum(b.Mul(hidden, weights), axes=[1])
            count = b.ReduceSum(weights, axes=[1])
            y = b.Div(total, b.Max(count, b.constant(1e-9)))
        elif self._pooling == "cls":
            first = b.Slice(hidden, shape=[rows, 1, width], starts=[0, 0, 0])
            y = b.Reshape(first, shape=[rows, width])
        else:
            counted = b.Compare(weights, b.constant(0.0), predicate="gt")
            y = b.ReduceMax(b.Select(counted, hidden, b.constant(-1e9)), axes=[1])
        if self._normalises:
            length = b.Sqrt(b.ReduceSum(b.Mul(y, y), axes=[1], keep_dims=True))
            y = b.Div(y, b.Max(length, b.constant(1e-12)))
        return b.model(embedding=y)


def _kind_of(module: Mapping[str, Any]) -> str:
    kind: str = module["type"].rpartition(".")[2]
    return kind


def _is_module(module: Any) -> bool:
    if not isinstance(module, dict) or not isinstance(module.get("type"), str):
        return False
    return _kind_of(module) != "Pooling" or isinstance(module.get("path"), str)


def _pooling_of(directory: ModelDirectory, name: str) -> str:
    config = directory.read_json(name)
    modes = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls",
             "pooling_mode_max_tokens": "max"}  # fmt: skip
    chosen = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if len(chosen) != 1 or chosen[0] not in modes:
        raise Unimplemented(f"{name}: expected one of {', '.join(modes)}, found {chosen}")
    return modes[chosen[0]]


def _texts_of(inputs: Sequence[Any]) -> list[str] | None:
    """The texts, if that is what was given."""
    if len(inputs) != 1:
        return None
    if isinstance(inputs[0], str):
        return [inputs[0]]
    if isinstance(inputs[0], list | tuple) and any(isinstance(each, str) for each in inputs[0]):
        for i, each in enumerate(inputs[0]):
            if not isinstance(each, str):
                raise InvalidArgument(f"text {i} is {type(each).__name__}, expected str")
        return list(inputs[0])
    return None


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, numpy.ndarray[Any, Any]]:
    """Batches one after the other, padded to the longest."""
    length = max(part["attention_mask"].shape[1] for part in parts)

    def padded(tensor: Tensor) -> Tensor:
        if tensor.ndim < 2 or tensor.shape[1] == length:
            return tensor
        high = [0, length - tensor.shape[1], *[0] * (tensor.ndim - 2)]
        return tensor.pad([0] * tensor.ndim, high)

    by_token = ("last_hidden_state", "attention_mask")
    return {
        name: Tensor.concat(
            [padded(part[name]) if name in by_token else part[name] for part in parts]
        ).to_numpy()
        for name in parts[0]
    }


def _load_tokenizer(directory: ModelDirectory) -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ImportError("text needs tokenizers: pip install 'bcai[text]'") from None
    try:
        file = directory.find("tokenizer.json")
    except NotFound as error:
        raise NotFound(f"{error}, which text needs; arrays of tokens do without") from None
    tokenizer: Tokenizer = Tokenizer.from_file(str(file))
    # The file may say how its maker padded and cut; here the model's configuration decides.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
