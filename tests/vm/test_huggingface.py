# SPDX-License-Identifier: Apache-2.0
"""Models that transformers saved, imported and run by `bcai`, against transformers itself.

The oracle runs the same weights in float64 and in f32. What the import refuses is at the end.
"""

import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from native_program import BCAI, Refused

os.environ["HF_HUB_OFFLINE"] = "1"
torch = pytest.importorskip("torch", reason="needs torch: ./dev setup")
transformers = pytest.importorskip("transformers", reason="needs transformers: ./dev setup")

# The difference from float64 that is allowed, of the largest magnitude of the result.
RELATIVE = 1e-5
VOCABULARY = 61
LENGTH = 32


class Home:
    """One directory with a store of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runs = 0

    def bcai(self, *arguments: str) -> str:
        environment = {**os.environ, "BCAI_DATA_DIR": str(self.directory / "data")}
        done = subprocess.run(
            [Path(BCAI).resolve(), "vm", *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            assert done.returncode == 2, done.stderr
            raise Refused(done.stderr)
        return done.stdout

    def save(self, model, **options) -> Path:
        model.save_pretrained(self.directory / "model", **options)
        return self.directory / "model"

    def load(self, *options: str) -> None:
        """Of model/: model.bcvm."""
        self.bcai("import", "model", *options)

    def run(self, inputs: dict[str, np.ndarray], *options: str) -> dict[str, np.ndarray]:
        self.runs += 1
        out = f"out{self.runs}"
        command = ["run", "model.bcvm", "--json", "--output-dir", out, *options]
        for name, array in inputs.items():
            np.save(self.directory / f"{name}.npy", array)
            command += ["--input", f"{name}={name}.npy"]
        results = json.loads(self.bcai(*command))
        return {
            name: np.load(self.directory / result["file"]) for name, result in results.items()
        }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def ids(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, VOCABULARY, shape).astype(np.int32)


def compare(what: str, got: np.ndarray, model, forward, tell) -> None:
    """With the model in float64 and in f32; tells the differences and bounds them."""
    wanted = []
    for precision in (torch.float64, torch.float32):
        with torch.no_grad():
            wanted.append(forward(model.to(precision)).double().numpy())
    exact, rounded = wanted
    assert got.shape == exact.shape
    largest = np.abs(exact).max()
    near = np.abs(got - exact).max() / largest
    as_torch = np.abs(got - rounded).max() / largest
    torch_near = np.abs(rounded - exact).max() / largest
    tell(f"{what}: from float64 {near:.1e}, from torch's f32 {as_torch:.1e}; "
         f"torch's f32 from float64 {torch_near:.1e}")
    assert near <= RELATIVE and as_torch <= RELATIVE


def spread(model):
    """Random weights large enough that every part shows in the result."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            norm = "norm" in name.lower() or "ln_" in name
            tensor.normal_(1.0 if norm and name.endswith("weight") else 0.0, 0.2)
    return model.eval()


# Encoders


def bert(**more):
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=96, max_position_embeddings=LENGTH, **more)
    return config


def roberta(**more):
    return transformers.RobertaConfig(
        vocab_size=VOCABULARY, hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=96, max_position_embeddings=LENGTH + 2, type_vocab_size=1, **more)


def distilbert(**more):
    return transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=48, n_layers=2, n_heads=4, hidden_dim=96,
        max_position_embeddings=LENGTH, **more)


ENCODERS = {
    "bert": lambda: transformers.BertModel(bert()),
    "bert_without_pooler": lambda: transformers.BertModel(bert(), add_pooling_layer=False),
    "bert_masked_lm": lambda: transformers.BertForMaskedLM(bert(hidden_act="gelu_new")),
    "roberta": lambda: transformers.RobertaModel(roberta()),
    "distilbert": lambda: transformers.DistilBertModel(distilbert()),
    "distilbert_masked_lm": lambda: transformers.DistilBertForMaskedLM(distilbert()),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoder(name, home, tell):
    model = spread(ENCODERS[name]())
    home.save(model)
    home.load()
    # Two sequences, the second padded.
    mask = np.ones((2, 11), np.int32)
    mask[1, 7:] = 0
    tokens = np.where(mask != 0, ids(2, 11) % 50 + 5, 1).astype(np.int32)
    inputs = {"input_ids": tokens, "attention_mask": mask}
    if name.startswith("bert"):
        inputs["token_type_ids"] = ids(2, 11) % 2
    got = home.run(inputs)
    trunk = getattr(model, model.base_model_prefix, model)
    given = {key: torch.from_numpy(value).long() for key, value in inputs.items()}
    compare(f"{name} last_hidden_state", got["last_hidden_state"], trunk,
            lambda m: m(**given).last_hidden_state, tell)
    has_pooler = getattr(trunk, "pooler", None) is not None
    assert ("pooler_output" in got) == has_pooler
    if has_pooler:
        compare(f"{name} pooler_output", got["pooler_output"], trunk,
                lambda m: m(**given).pooler_output, tell)
    # What stands under the mask changes nothing, and neither does the batch, to the bit.
    other = {key: value.copy() for key, value in inputs.items()}
    other["input_ids"][1, 7:] = 1 if name == "roberta" else 9
    again = home.run({key: value[1:] for key, value in other.items()})
    assert np.array_equal(again["last_hidden_state"][0, :7], got["last_hidden_state"][1, :7])
    reference = home.run(inputs, "--reference")
    assert all(np.array_equal(reference[key], got[key]) for key in got)


# Decoders


def gpt2(**more):
    return transformers.GPT2Config(vocab_size=VOCABULARY, n_embd=48, n_layer=3, n_head=4,
                                   n_positions=LENGTH, **more)


LLAMA = {"vocab_size": VOCABULARY, "hidden_size": 48, "intermediate_size": 80,
         "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2,
         "max_position_embeddings": LENGTH}


def llama(**more):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA, **more))


DECODERS = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(gpt2()),
    "gpt2_untied": lambda: transformers.GPT2LMHeadModel(
        gpt2(tie_word_embeddings=False, n_inner=100, scale_attn_weights=False)),
    "gpt2_alone": lambda: transformers.GPT2Model(gpt2()),
    "llama_tied": lambda: llama(tie_word_embeddings=True),
    "llama_untied": lambda: llama(tie_word_embeddings=False),
    "llama_biased": lambda: llama(attention_bias=True, mlp_bias=True, head_dim=12,
                                  rope_parameters={"rope_type": "default", "rope_theta": 500.0}),
    "mistral": lambda: transformers.MistralForCausalLM(
        transformers.MistralConfig(**LLAMA, sliding_window=LENGTH)),
    "qwen2": lambda: transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(**LLAMA, rms_norm_eps=1e-5)),
}
GPT2_ALONE = "gpt2_alone"


def states(home: Home, batch: int) -> dict[str, np.ndarray]:
    """Zeros for each state that the program takes."""
    text = home.bcai("dis", "model.bcvm")
    header = re.search(r"^func @main\((.*)\) ->", text, re.MULTILINE)
    assert header
    found = re.findall(r"%(\w+): state<f32\[\w+,(\d+),(\d+)\]>", header[1])
    assert found
    return {name: np.zeros((batch, int(rows), int(width)), np.float32)
            for name, rows, width in found}


def decode(home: Home, tokens: np.ndarray, pieces: list[int], *options: str) -> np.ndarray:
    """The logits of all tokens, given so many at a time."""
    held = states(home, tokens.shape[0])
    logits, position = [], 0
    for piece in pieces:
        out = home.run({"input_ids": tokens[:, position:position + piece],
                        "position": np.array(position, np.int32), **held}, *options)
        logits.append(out.pop("logits"))
        held = out
        position += piece
    assert position == tokens.shape[1]
    return np.concatenate(logits, axis=1)


@pytest.mark.parametrize("name", DECODERS)
def test_decoder(name, home, tell):
    model = spread(DECODERS[name]())
    home.save(model)
    home.load()
    tokens = ids(2, 12)
    logits = decode(home, tokens, [12])

    def forward(m):
        if name == GPT2_ALONE:
            return m(torch.from_numpy(tokens).long()).last_hidden_state @ m.wte.weight.T
        return m(torch.from_numpy(tokens).long()).logits

    compare(name, logits, model, forward, tell)
    # A prompt and then token by token, in pieces, or alone: the same bits.
    assert np.array_equal(decode(home, tokens, [5, *[1] * 7]), logits)
    assert np.array_equal(decode(home, tokens, [1, 4, 7]), logits)
    assert np.array_equal(decode(home, tokens[1:], [12]), logits[1:])
    assert np.array_equal(decode(home, tokens, [11, 1], "--reference"), logits)


def test_the_cache_has_an_end(home):
    home.save(spread(llama()))
    home.load("--cache", "8", "--sequence", "4", "--batch", "2")
    held = states(home, 1)
    assert held["key_0"].shape == (1, 8, 16)
    tokens = ids(1, 4)
    for position in (5, -1):
        with pytest.raises(Refused, match="KVCacheAppend: 4 rows at position"):
            home.run({"input_ids": tokens, "position": np.array(position, np.int32), **held})
    with pytest.raises(Refused, match="S: is 5, expected 1 to 4"):
        home.run({"input_ids": ids(1, 5), "position": np.array(0, np.int32), **held})


def test_numbers_instead_of_symbols(home):
    """A program for one token at a time alone, without a symbol: the same bits."""
    home.save(spread(llama()))
    home.load()
    tokens = ids(1, 4)
    wanted = decode(home, tokens, [4])
    home.load("--batch", "1", "--sequence", "1", "--cache", "4")
    assert "sym " not in home.bcai("dis", "model.bcvm")
    assert np.array_equal(decode(home, tokens, [1, 1, 1, 1]), wanted)


def test_more_layers_than_an_instruction_has_operands(home):
    config = transformers.LlamaConfig(**{**LLAMA, "num_hidden_layers": 30})
    home.save(spread(transformers.LlamaForCausalLM(config)))
    home.load()
    tokens = ids(1, 3)
    assert np.array_equal(decode(home, tokens, [1, 1, 1]), decode(home, tokens, [3]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_weights(dtype, home, tell):
    directory = home.save(spread(llama(tie_word_embeddings=True)).to(dtype))
    home.load()
    # Read back, because .to() rounds the angles' frequencies too, which are no weights.
    model = transformers.LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokens = ids(1, 9)
    compare(f"llama {dtype}", decode(home, tokens, [9]), model,
            lambda m: m(torch.from_numpy(tokens).long()).logits, tell)


def test_shards(home):
    model = spread(llama())
    home.save(model)
    home.load()
    tokens = ids(1, 6)
    whole = decode(home, tokens, [6])
    shutil.rmtree(home.directory / "model")
    home.save(model, max_shard_size="40kB")
    files = sorted((home.directory / "model").glob("model-*.safetensors"))
    assert len(files) > 2
    home.load()
    assert home.bcai("dis", "model.bcvm").count("weights ") == len(files)
    assert np.array_equal(decode(home, tokens, [6]), whole)


def test_the_files_stay_as_they_are(home):
    """The program names the file by the digest of its bytes, so any store that has it will do."""
    import hashlib

    directory = home.save(spread(llama()))
    home.load("-o", "program.bcvm")
    digest = hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()
    assert digest in home.bcai("dis", "program.bcvm")
    assert (home.directory / "data/weights" / digest).exists()
    # Another directory, the same program: its identity depends on config and weights alone.
    shutil.copytree(directory, home.directory / "copy")
    home.bcai("import", "copy", "-o", "copy.bcvm")
    assert ((home.directory / "copy.bcvm").read_bytes()
            == (home.directory / "program.bcvm").read_bytes())


def test_the_cache_of_huggingface_hub(home):
    """There a snapshot's files are links to blobs beside the snapshots."""
    directory = home.save(spread(llama()))
    hub = home.directory / "models--me--tiny"
    (hub / "blobs").mkdir(parents=True)
    (hub / "snapshots/0123").mkdir(parents=True)
    for path in directory.iterdir():
        shutil.move(path, hub / "blobs" / path.name)
        (hub / "snapshots/0123" / path.name).symlink_to(f"../../blobs/{path.name}")
    home.bcai("import", str(hub / "snapshots/0123"), "-o", "model.bcvm")
    assert decode(home, ids(1, 2), [2]).shape == (1, 2, VOCABULARY)


def test_names_of_tensorflow(home):
    """Old checkpoints call a LayerNorm's tensors gamma and beta."""
    from safetensors.torch import load_file, save_file

    directory = home.save(spread(transformers.BertModel(bert())))
    home.load()
    inputs = {"input_ids": ids(1, 5), "attention_mask": np.ones((1, 5), np.int32),
              "token_type_ids": np.zeros((1, 5), np.int32)}
    wanted = home.run(inputs)
    tensors = load_file(directory / "model.safetensors")
    renamed = {("bert." + key).replace("LayerNorm.weight", "LayerNorm.gamma")
               .replace("LayerNorm.bias", "LayerNorm.beta"): value
               for key, value in tensors.items()}
    save_file(renamed, directory / "model.safetensors")
    home.load()
    got = home.run(inputs)
    assert all(np.array_equal(got[key], wanted[key]) for key in wanted)


def test_keys_of_older_transformers(home):
    """rope_theta stood alone, and rope_scaling was null."""
    directory = home.save(spread(llama()))
    home.load("-o", "first.bcvm")
    config = json.loads((directory / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config |= {"rope_theta": rope["rope_theta"], "rope_scaling": None}
    config.pop("head_dim")
    (directory / "config.json").write_text(json.dumps(config))
    home.load("-o", "second.bcvm")
    assert ((home.directory / "first.bcvm").read_bytes()
            == (home.directory / "second.bcvm").read_bytes())


# A real model


MINILM = os.environ.get("BCAI_MINILM", "")


@pytest.mark.skipif(not MINILM, reason="needs all-MiniLM-L6-v2: BCAI_MINILM=DIRECTORY")
def test_minilm(home, tell):
    """The sentence that means the same is nearer, and the numbers are those of transformers."""
    home.bcai("import", MINILM, "-o", "model.bcvm")
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM, local_files_only=True)
    model = transformers.BertModel.from_pretrained(MINILM, local_files_only=True).eval()
    given = tokenizer(["A man is eating food.", "Someone eats a meal.",
                       "The stock market fell sharply today."],
                      padding=True, return_tensors="pt")
    got = home.run({key: value.numpy().astype(np.int32) for key, value in given.items()})
    compare("all-MiniLM-L6-v2", got["last_hidden_state"], model,
            lambda m: m(**given).last_hidden_state, tell)
    mask = given["attention_mask"].numpy()[:, :, None]
    mean = (got["last_hidden_state"] * mask).sum(1) / mask.sum(1)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    near, far = mean[0] @ mean[1], mean[0] @ mean[2]
    tell(f"cosine of the paraphrase {near:.4f}, of another subject {far:.4f}")
    assert near > 0.5 > far


# What is refused


def saved(home: Home, model=None) -> Path:
    return home.save(spread(model or llama()))


def refusal(home: Home, *options: str) -> str:
    with pytest.raises(Refused) as refused:
        home.load(*options)
    assert not (home.directory / "model.bcvm").exists()
    return str(refused.value)


CONFIGS = {
    "negative": ({"hidden_size": -48}, "/hidden_size: expected 1 to 1048576, found -48"),
    "huge": ({"num_hidden_layers": 10**9},
             "/num_hidden_layers: expected 1 to 1024, found 1000000000"),
    "wider_than_64_bits": ({"vocab_size": 2**63}, "/vocab_size: expected 1 to 16777216"),
    "wrong_type": ({"vocab_size": "61"}, '/vocab_size: expected a whole number, found "61"'),
    "fraction": ({"num_attention_heads": 6.5}, "/num_attention_heads: expected a whole number"),
    "heads": ({"num_key_value_heads": 4}, "/num_key_value_heads: 6 heads do not divide by 4"),
    "odd_heads": ({"head_dim": 7}, "/head_dim: heads of 7 have no pairs to rotate"),
    "missing": ({"intermediate_size": None}, "/intermediate_size: is required"),
    "type": ({"model_type": "t5"}, "/model_type: expected one of bert, roberta,"),
    "no_type": ({"model_type": None}, "/model_type: is required"),
    "activation": ({"hidden_act": "xielu"}, "/hidden_act: expected one of gelu, gelu_new,"),
    "rope": ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
             '/rope_scaling: {"rope_type":"llama3","factor":8E0} is not supported'),
    "rope_parameters": ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}},
                        '/rope_parameters: {"rope_type":"yarn"'),
    "rotary_part": ({"partial_rotary_factor": 0.5},
                    "/partial_rotary_factor: 0.5 is not supported"),
    "quantised": ({"quantization_config": {"quant_method": "gptq", "bits": 4}},
                  '/quantization_config: {"quant_method":"gptq","bits":4} is not supported'),
    "class": ({"architectures": ["LlamaForSequenceClassification"]},
              "/architectures: LlamaForSequenceClassification is not supported"),
    "window": ({"model_type": "mistral", "sliding_window": 8},
               "/sliding_window: 8 is not supported for a cache of 32 rows"),
    "used_window": ({"use_sliding_window": True}, "/use_sliding_window: true is not supported"),
    "layer_types": ({"layer_types": ["full_attention", "sliding_attention"]},
                    "/layer_types: sliding_attention is not supported"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_refused_config(name, home):
    directory = saved(home)
    change, message = CONFIGS[name]
    config = json.loads((directory / "config.json").read_text()) | change
    (directory / "config.json").write_text(json.dumps(config))
    assert "config.json: " + message in refusal(home)


def test_every_finding_of_a_config_at_once(home):
    directory = saved(home)
    config = json.loads((directory / "config.json").read_text())
    config |= {"hidden_act": "tan", "vocab_size": 0, "rms_norm_eps": "small"}
    (directory / "config.json").write_text(json.dumps(config))
    text = refusal(home)
    for key in ("hidden_act", "vocab_size", "rms_norm_eps"):
        assert f"config.json: /{key}: " in text


@pytest.mark.parametrize(("change", "message"), [
    ({"is_decoder": True}, "/is_decoder: true is not supported"),
    ({"position_embedding_type": "relative_key"},
     '/position_embedding_type: "relative_key" is not supported'),
    ({"num_attention_heads": 5}, "a width of 48 does not divide into 5 heads"),
])
def test_refused_encoder(change, message, home):
    directory = saved(home, transformers.BertModel(bert()))
    config = json.loads((directory / "config.json").read_text()) | change
    (directory / "config.json").write_text(json.dumps(config))
    assert message in refusal(home)


def test_text_that_is_no_config(home):
    directory = saved(home)
    for text, message in {"{": "config.json: JSON 1:2", "[]": "config.json: expected an object",
                          '{"a":1,"a":2}': "duplicate key 'a'"}.items():
        (directory / "config.json").write_text(text)
        assert message in refusal(home)
    (directory / "config.json").unlink()
    assert "config.json: No such file" in refusal(home)


def rewrite(path: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_tensors_that_do_not_fit(home):
    directory = saved(home)

    def change(tensors):
        del tensors["model.layers.1.mlp.up_proj.weight"]
        tensors["model.norm.weight"] = torch.zeros(47)
        tensors["model.layers.0.self_attn.q_proj.weight"] = torch.zeros(48, 48, dtype=torch.int32)

    rewrite(directory / "model.safetensors", change)
    text = refusal(home)
    assert "tensor 'model.layers.1.mlp.up_proj.weight' is missing, expected [80,48]" in text
    assert "tensor 'model.norm.weight' is f32[47], expected [48] of f32, f16 or bf16" in text
    assert "tensor 'model.layers.0.self_attn.q_proj.weight' is i32[48,48]" in text


def test_layers_that_the_file_lacks(home):
    directory = saved(home)
    config = json.loads((directory / "config.json").read_text()) | {"num_hidden_layers": 1024}
    (directory / "config.json").write_text(json.dumps(config))
    text = refusal(home)
    assert "tensor 'model.layers.3.input_layernorm.weight' is missing" in text
    assert text.rstrip().splitlines()[-1].strip() == f"and {1021 * 9 - 50} more"


def test_untied_without_a_head(home):
    directory = saved(home, llama(tie_word_embeddings=True))
    config = json.loads((directory / "config.json").read_text()) | {"tie_word_embeddings": False}
    (directory / "config.json").write_text(json.dumps(config))
    assert "tensor 'lm_head.weight' is missing, expected [61,48]" in refusal(home)


def test_cut_files(home):
    directory = saved(home)
    path = directory / "model.safetensors"
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "model.safetensors" in refusal(home)
    path.write_bytes(struct.pack("<Q", 2**63) + whole[8:])
    assert "a header of 9223372036854775808 bytes" in refusal(home)


def test_files_that_are_not_there(home):
    directory = saved(home)
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    text = refusal(home)
    assert "neither model.safetensors nor model.safetensors.index.json" in text
    assert "pytorch_model.bin is a pickle" in text
    os.mkfifo(directory / "model.safetensors")
    assert "is no regular file" in refusal(home)


def test_links_out_of_the_directory(home):
    directory = saved(home)
    (directory / "model.safetensors").rename(home.directory / "secret")
    (directory / "model.safetensors").symlink_to("../secret")
    assert "'model.safetensors' leads out of the directory" in refusal(home)
    (directory / "model.safetensors").unlink()
    (directory / "config.json").rename(home.directory / "config")
    (directory / "config.json").symlink_to(home.directory / "config")
    assert "'config.json' leads out of the directory" in refusal(home)


INDEXES = {
    "above": ({"model.norm.weight": "../secret.safetensors"},
              '"../secret.safetensors" is not the name of a safetensors file'),
    "absolute": ({"model.norm.weight": "/etc/model.safetensors"},
                 '"/etc/model.safetensors" is not the name of a safetensors file'),
    "pickle": ({"model.norm.weight": "model.bin"}, '"model.bin" is not the name'),
    "number": ({"model.norm.weight": 1}, "1 is not the name of a safetensors file"),
    "absent": ({"model.norm.weight": "absent.safetensors"}, "absent.safetensors: No such file"),
    "link": ({"model.norm.weight": "link.safetensors"},
             "'link.safetensors' leads out of the directory"),
    "wrong_file": ({"model.norm.weight": "first"}, "tensor 'model.norm.weight' is missing"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_refused_index(name, home):
    directory = home.save(spread(llama()), max_shard_size="40kB")
    (directory / "link.safetensors").symlink_to("../secret.safetensors")
    (home.directory / "secret.safetensors").write_bytes(b"")
    path = directory / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change, message = INDEXES[name]
    first = index["weight_map"]["model.embed_tokens.weight"]
    assert index["weight_map"]["model.norm.weight"] != first
    index["weight_map"] |= {key: first if file == "first" else file
                            for key, file in change.items()}
    path.write_text(json.dumps(index))
    assert message in refusal(home)


def test_text_that_is_no_index(home):
    directory = home.save(spread(llama()), max_shard_size="40kB")
    for text in ("[]", "{}", '{"weight_map": []}', '{"weight_map"'):
        (directory / "model.safetensors.index.json").write_text(text)
        assert "model.safetensors.index.json: " in refusal(home)


@pytest.mark.parametrize(("options", "message"), [
    (["--cache", "33"], "a cache of 33 rows, expected 1 to 32"),
    (["--sequence", "9", "--cache", "8"], "a sequence of 9 is longer than the cache of 8 rows"),
    (["--shape", "input_ids=1,2"], "--shape and --value are for ONNX models; model is a directory"),
])
def test_refused_options(options, message, home):
    saved(home)
    assert message in refusal(home, *options)


def test_refused_options_of_encoders(home):
    saved(home, transformers.BertModel(bert()))
    assert "a sequence of 33 is longer than the model's 32 positions" in refusal(
        home, "--sequence", "33")
    assert "an encoder has no states" in refusal(home, "--cache", "8")
