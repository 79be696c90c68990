"""Folders for CTranslate2: what comes out of them, who computes, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import isthmus
from isthmus.core.errors import BundleError, ExportError, InputError
from isthmus.core.runtime import Runtime
from isthmus.engines.ct2 import folder as ct2
from isthmus.engines.ct2.searcher import CTranslate2Searcher
from isthmus.engines.ct2.stored import variables
from isthmus.engines.searcher import Wish
from isthmus.export import ctranslate2
from isthmus.export.comparison import Comparison
from isthmus.export.source import Source
from isthmus.generate.options import GenerationOptions
from isthmus.model.build import ModelConfig
from isthmus.model.bundle import Bundle
from isthmus.text.vocabulary import EOS
from tests.reference.test_ctranslate2 import bundle_of
from tests.unit.export.quiet import TEXTS, quiet_bundle

ONE = Runtime(threads=1)
SEARCH = {"num_beams": 3, "early_stopping": True, "guards": False}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, and what is made of it in float32 and int8."""
    folder = tmp_path_factory.mktemp("ct2")
    quiet_bundle().save(folder / "bundle", "# Mine\n")
    source = Source.of(folder / "bundle")
    ctranslate2.export(source, folder / "float32", "float32", ONE)
    (folder / "int8").mkdir()
    ct2.save_into(source.bundle, folder / "int8", "int8")
    return folder


def test_the_report_compares_text_and_beams(place: Path, tmp_path: Path) -> None:
    found = ctranslate2.export(Source.of(place / "bundle"), tmp_path / "out", "float32", ONE)
    assert (found.pairs, found.different) == (len(TEXTS), 0)
    assert found.searched >= 4
    assert found.metrics["chrf"][0] == pytest.approx(found.metrics["chrf"][1])
    assert found.metrics["chrf"][0] > 50
    assert "chrf: " in found.lines()[-1]


@pytest.mark.parametrize(
    ("exact", "changed", "right"),
    [
        (True, {}, True),
        (True, {"worst": 2e-4}, False),
        (True, {"worst": float("nan")}, False),
        (True, {"different": 1}, False),
        (True, {"score": 2e-4}, False),
        (False, {"worst": 0.1, "different": 7}, True),
        (False, {"metrics": {"bleu": (50.0, 49.8)}}, True),
        (False, {"metrics": {"bleu": (50.0, 49.6)}}, False),
        (False, {"metrics": {"bleu": (50.0, 52.0)}}, True),
    ],
)
def test_what_is_equal_enough(exact: bool, changed: dict[str, Any], right: bool) -> None:
    found = replace(Comparison(7, True, 1e-6, 1e-5, 14, 14, 0, 1e-5), **changed)
    if right:
        found.check(exact)
        return
    with pytest.raises(ExportError, match="not equal enough"):
        found.check(exact)


def test_answers_are_the_same_whoever_computes(place: Path) -> None:
    options = GenerationOptions.of(SEARCH)
    ours = isthmus.load(place / "bundle", threads=1)
    theirs = isthmus.load(place / "float32", threads=1)
    assert theirs.engine_for(options) == "ctranslate2 float32"
    for one, two in zip(ours.answers(TEXTS, options), theirs.answers(TEXTS, options), strict=True):
        assert one.text == two.text
        assert one.hypotheses[0].score == pytest.approx(two.hypotheses[0].score, abs=1e-4)
        assert one.hypotheses[0].normalised == pytest.approx(two.hypotheses[0].normalised, abs=1e-4)
        scores = [part.token_scores for each in (one, two) for part in each.hypotheses[0].parts]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_what_is_not_exact_is_done_by_torch_and_said(place: Path) -> None:
    machine = isthmus.load(place / "float32", threads=1)
    sampling = GenerationOptions.of({"do_sample": True, "seed": 3})
    assert machine.engine_for(sampling).startswith("torch (ctranslate2 float32 would not do exactly")
    ours = isthmus.load(place / "bundle", threads=1)
    assert [one.text for one in machine.answers(TEXTS, sampling)] == [one.text for one in ours.answers(TEXTS, sampling)]


def test_whoever_insists_is_told_why_not(place: Path) -> None:
    machine = isthmus.load(place / "float32", threads=1, engine="ctranslate2")
    assert machine.generate(TEXTS[:2], guards=False)
    with pytest.raises(InputError, match="cannot do exactly what is asked for") as caught:
        machine.generate(TEXTS[:2], no_repeat_ngram_size=2)
    assert caught.value.got == "`no_repeat_ngram_size`"
    with pytest.raises(InputError, match="in the precision that its folder") as other:
        isthmus.load(place / "float32", engine="ctranslate2", precision="bfloat16")
    assert other.value.got == "bfloat16"


def test_a_bundle_of_ours_runs_in_ctranslate2_too(place: Path) -> None:
    machine = isthmus.load(place / "bundle", threads=1, engine="ctranslate2")
    assert machine.options.early_stopping is True
    assert machine.generate(TEXTS) == isthmus.load(place / "float32", threads=1, engine="torch").generate(TEXTS)


def test_an_int8_folder_is_dequantised_without_ctranslate2(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    machine = isthmus.load(place / "int8", threads=1)
    assert machine.delegation is None
    assert machine.engine_for() == "torch"
    assert len(machine.generate(TEXTS, guards=False)) == len(TEXTS)
    whole, small = (dict(ct2.load(place / name).model.named_parameters()) for name in ("float32", "int8"))
    for name, parameter in whole.items():
        assert (parameter - small[name]).abs().max() <= parameter.abs().max() / 250, name
    with pytest.raises(InputError, match="not installed"):
        isthmus.load(place / "int8", engine="ctranslate2")


@pytest.mark.parametrize("tied", ["all", "target", "source-target", "none"])
def test_int8_weights_are_read_back_however_embeddings_are_tied(tied: str, tmp_path: Path) -> None:
    """A table that several names stand for is stored once, and so is its scale."""
    part = {"layers": 1, "layer": {"heads": 2, "feed_forward": 24}}
    connection = {"kind": "multi-head-attention", "heads": 2}
    table = {"d_model": 16, "embedding": {"tied": tied}, "encoder": part, "decoder": part, "connection": connection}
    bundle = bundle_of(ModelConfig.of(table))
    ct2.save_into(bundle, tmp_path, "int8")
    read = dict(ct2.load(tmp_path).model.named_parameters(remove_duplicate=False))
    for name, parameter in bundle.model.named_parameters(remove_duplicate=False):
        assert (parameter - read[name]).abs().max() <= parameter.abs().max() / 250, name


def test_int8_is_smaller_and_runs(place: Path) -> None:
    sizes = [(place / name / "model.bin").stat().st_size for name in ("float32", "int8")]
    assert sizes[1] < 0.4 * sizes[0]
    machine = isthmus.load(place / "int8", threads=1)
    assert machine.engine_for() == "ctranslate2 int8"
    assert len(machine.generate(TEXTS, guards=False)) == len(TEXTS)


def test_a_model_that_differs_is_not_kept(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = ct2.write

    def wrong(bundle: Bundle, folder: Path, quantization: ct2.Quantization = "float32") -> None:
        with torch.no_grad():
            bundle.model.get_parameter("decoder.layers.0.feed_forward.outer.bias")[3] += 0.5
        write(bundle, folder, quantization)
        with torch.no_grad():
            bundle.model.get_parameter("decoder.layers.0.feed_forward.outer.bias")[3] -= 0.5

    monkeypatch.setattr(ct2, "write", wrong)
    with pytest.raises(ExportError, match="not equal enough") as caught:
        ctranslate2.export(Source.of(place / "bundle"), tmp_path / "out", "float32", ONE)
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_small_model_without_a_sample_is_refused(tmp_path: Path) -> None:
    replace(quiet_bundle(), sample=()).save(tmp_path / "bundle")
    with pytest.raises(InputError, match="compared with its bundle on pairs of text"):
        ctranslate2.export(Source.of(tmp_path / "bundle"), tmp_path / "out", "int8", ONE)
    assert ctranslate2.export(Source.of(tmp_path / "bundle"), tmp_path / "out", "float32", ONE).of_text is False


def test_outputs_may_be_empty(place: Path) -> None:
    bundle = Bundle.load(place / "bundle")
    with torch.no_grad():
        bundle.model.get_parameter("head.bias")[3] = 40.0
    source = [*bundle.codec.source.encode("abc"), EOS]
    ((outcomes,),) = CTranslate2Searcher(bundle, bundle.codec, "float32", ONE).search([[source]], [5], Wish(3, 1))
    assert (outcomes[0].ids, outcomes[0].ended) == ((), True)


def test_what_reaches_its_maximum_length_is_searched_again_by_torch(place: Path) -> None:
    ours, theirs = (isthmus.load(place / name, threads=1) for name in ("bundle", "float32"))
    options = GenerationOptions.of({**SEARCH, "max_length": 2})
    answers = [machine.answers(TEXTS, options) for machine in (ours, theirs)]
    assert "max_length" in {one.hypotheses[0].stop for one in answers[1]}
    assert [one.text for one in answers[0]] == [one.text for one in answers[1]]


def test_damaged_weights_are_refused(place: Path, tmp_path: Path) -> None:
    data = (place / "float32" / "model.bin").read_bytes()
    for name, bad in (("short", data[: len(data) // 2]), ("version", b"\x07" + data[1:]), ("empty", b"")):
        path = tmp_path / name
        path.write_bytes(bad)
        with pytest.raises(BundleError, match=r"CTranslate2's weights (cannot be read|are of another version)"):
            variables(path)


def test_the_card_says_what_it_is(place: Path) -> None:
    assert (place / "float32" / "README.md").read_text(encoding="utf-8").startswith("# Mine\n\n## Form\n\nExported")
