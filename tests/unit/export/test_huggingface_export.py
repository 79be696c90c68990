"""What is exported opens with transformers' Auto classes and computes the same; what would not is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from isthmus.core.errors import ExportError, InputError
from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime
from isthmus.data.example import Example
from isthmus.export.comparison import Comparison
from isthmus.export.huggingface.families import FAMILIES, family_of
from isthmus.export.huggingface.run import HuggingFace
from isthmus.export.huggingface.t5 import kind_of
from isthmus.export.huggingface.tensors import their_tensors
from isthmus.export.huggingface.write import export
from isthmus.export.source import Source
from isthmus.generate.load import translator
from isthmus.model.build import ModelConfig
from isthmus.model.bundle import Bundle
from tests.unit.export.tiny import KINDS, bundle, table

TEXTS = ["abc de.", "h", "a longer text? it begins HERE!"]
ARCHITECTURES = {family.model_type: family.architecture for family in FAMILIES} | {
    "t5": "T5ForConditionalGeneration",
    "umt5": "UMT5ForConditionalGeneration",
}


def exported(ours: Bundle, place: Path, *texts: str) -> Comparison:
    """Save a bundle and export it to `out`, compared on pairs of a text with itself."""
    ours.save(place / "ours")
    source = Source.of(place / "ours", tuple(Example((text,), text) for text in texts))
    return export(source, place / "out", Runtime(threads=1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_auto_classes_open_it_and_compute_the_same(kind: str, tmp_path: Path) -> None:
    ours = bundle(table(kind))
    found = exported(ours, tmp_path, *TEXTS)
    assert found.searches == 2 * len(TEXTS)
    assert found.searched >= len(TEXTS)
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert type(model).__name__ == ARCHITECTURES[kind]
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    rows = [[*ours.codec.source.encode(text), 3] for text in TEXTS]
    assert [ids[:length] for ids, length in zip(batch["input_ids"].tolist(), map(len, rows), strict=True)] == rows
    target_in = Padded.of([[2, 150, 151], [2], [2, 149, 152, 153]])
    with torch.no_grad():
        logits = model(**batch, decoder_input_ids=target_in.ids_BT).logits.log_softmax(dim=-1)
        expected = ours.model(Padded.of(rows), target_in)
    real = target_in.mask_BT
    torch.testing.assert_close(logits[real], expected[real], rtol=1e-4, atol=2e-5)
    assert model.generation_config.suppress_tokens == sorted(ours.codec.target.vocabulary.control)


def test_what_it_generates_reads_the_same(tmp_path: Path) -> None:
    ours = bundle(table("pegasus"))
    exported(ours, tmp_path, *TEXTS[:1])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    found = model.generate(**tokenizer(TEXTS, return_tensors="pt", padding=True), num_beams=1, max_length=12)
    expected = translator(ours).generate(TEXTS, num_beams=1, max_length=10, split_sentences=False, guards=False)
    ended = [text for text, ids in zip(expected, found.tolist(), strict=True) if 3 in ids]
    assert ended
    assert [text for text in tokenizer.batch_decode(found, skip_special_tokens=True) if text in ended] == ended


def change(kind: str, path: str, value: Any) -> ModelConfig:
    values = ModelConfig.of(table(kind)).model_dump(mode="json")
    *parents, last = path.split(".")
    place = values
    for parent in parents:
        place = place[parent]
    place[last] = value
    return ModelConfig.of(values)


@pytest.mark.parametrize(
    ("kind", "path", "value", "said"),
    [
        ("pegasus", "encoder.layer.norm", "rms", "norm = rms"),
        ("pegasus", "decoder.layer.norm_eps", 1e-6, "1e-06"),
        ("pegasus", "decoder.layer.bias", False, "bias = false"),
        ("pegasus", "encoder.layer.head_size", 5, "of size 5"),
        ("pegasus", "encoder.layer.key_value_heads", 1, "key_value_heads = 1"),
        ("pegasus", "decoder.layer.attention_scale", 0.3, "attention_scale = 0.3"),
        ("pegasus", "decoder.layer.activation", "swiglu", "swiglu"),
        ("pegasus", "decoder.layer.activation", "gelu", "relu and gelu"),
        ("pegasus", "decoder.layer.norm_first", False, "True and False"),
        ("pegasus", "connection.heads", 2, "heads=2"),
        ("pegasus", "connection.scale", 0.3, "connection.scale = 0.3"),
        ("pegasus", "connection", {"kind": "global-attention"}, "global-attention"),
        ("pegasus", "encoder", {"kind": "recurrent"}, "encoder recurrent"),
        ("pegasus", "encoder.final_norm", False, "encoder.final_norm = False"),
        ("pegasus", "embedding.scale", 2.0, "embedding.scale = 2.0"),
        ("pegasus", "embedding.norm", True, "a norm of embeddings"),
        ("pegasus", "embedding.positions.kind", "rotary", "rotary positions"),
        ("pegasus", "embedding.positions.kind", "none", "none positions"),
        ("pegasus", "embedding.positions.offset", 3, "offset=3"),
        ("pegasus", "head.scale", 0.5, "head.scale = 0.5"),
        ("pegasus", "encoder.layer.segment", 8, "segment = 8"),
        ("pegasus", "decoder.past", "ssru", "decoder.past = ssru"),
        ("bart", "embedding.norm", False, "no norm of embeddings"),
        ("t5", "encoder.layer.norm", "layer", "layer and rms"),
        ("t5", "decoder.layer.bias", True, "biases"),
        ("t5", "connection.scale", 0.5, "1.0, 1.0, 0.5"),
        ("t5", "decoder.layer.feed_forward", 23, "others"),
        ("t5", "embedding.scale", 4.0, "scaled or normed"),
        ("t5", "embedding.tied", "target", "tied = target"),
        ("t5", "head.scale", 0.5, "head.scale = 0.5"),
        ("umt5", "head.scale", 1.0, "head.scale = 1.0"),
        ("t5", "decoder.layers", 3, "3 and 2"),
    ],
)
def test_what_no_class_computes_is_refused_with_the_reason(kind: str, path: str, value: Any, said: str) -> None:
    with pytest.raises(InputError, match="no class that computes exactly") as caught:
        (kind_of if "t5" in kind else family_of)(change(kind, path, value))
    assert said in caught.value.got


def test_how_a_model_likes_to_generate_does_not_disturb_the_comparison(tmp_path: Path) -> None:
    likes = {"repetition_penalty": 1.7, "no_repeat_ngram_size": 1, "num_beams": 2}
    exported(replace(bundle(table("pegasus")), generation=likes), tmp_path, *TEXTS)
    carried = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").generation_config
    assert {name: getattr(carried, name) for name in likes} == likes


def test_an_export_that_differs_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = bundle(table("pegasus"))

    def disturbed(model: Any, config: Any, naming: Any) -> Any:
        found = their_tensors(model, config, naming)
        name = "model.encoder.layers.0.fc1.weight"
        return {**found, name: found[name] + 0.01}

    monkeypatch.setattr("isthmus.export.huggingface.write.their_tensors", disturbed)
    with pytest.raises(ExportError, match="not equal enough"):
        exported(ours, tmp_path, *TEXTS[:2])
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_a_tokenizer_that_reads_otherwise_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = bundle(table("pegasus")).codec.source.vocabulary
    monkeypatch.setattr(HuggingFace, "source_ids", lambda self, text: [other.unk, other.eos])
    with pytest.raises(ExportError, match="reads a text otherwise"):
        exported(bundle(table("pegasus")), tmp_path, *TEXTS[:2])
    assert not (tmp_path / "out").exists()


def test_without_pairs_random_pieces_are_compared(tmp_path: Path) -> None:
    found = exported(bundle(table("mbart")), tmp_path)
    assert (found.of_text, found.different) == (False, 0)
    assert "# An Isthmus model" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
