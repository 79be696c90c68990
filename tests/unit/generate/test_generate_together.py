"""Several bundles as one translator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from isthmus.core.errors import InputError
from isthmus.core.padded import Padded
from isthmus.data.codec import Codec, CodecConfig
from isthmus.engines.ensemble import Mean
from isthmus.generate.load import load, together, translator
from isthmus.model.bundle import Bundle
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import CharacterConfig
from isthmus.text.vocabulary import BOS, EOS
from tests.unit.generate.tiny_bundle import tiny_bundle

TEXTS = ["abc", "fedcba", "", "gg hh ee"]

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")


def other_bundle() -> Bundle:
    """The same vocabulary, other weights."""
    bundle = tiny_bundle()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        for parameter in bundle.model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3 * parameter.shape[-1] ** -0.5)
    return bundle


def test_an_ensemble_says_what_the_mixed_probabilities_say(tmp_path: Path) -> None:
    one, two = tiny_bundle(), other_bundle()
    one.save(tmp_path / "one")
    two.save(tmp_path / "run" / "best")
    both = load([tmp_path / "one", tmp_path / "run"], weights=[1, 2], device="cpu", threads=1)
    (answer,) = both.answers(["fedcba"])
    (part,) = answer.hypotheses[0].parts
    source = Padded.of([[*both.codec.source.encode("fedcba"), EOS]])
    target_in = Padded.of([[BOS, *part.ids]])
    with torch.no_grad():
        mixed_1TV = (one.model(source, target_in).exp() + 2 * two.model(source, target_in).exp()) / 3
    expected = mixed_1TV.log()[0, torch.arange(len(part.token_scores)), [*part.ids, EOS][: len(part.token_scores)]]
    assert part.token_scores == pytest.approx(expected.tolist(), rel=1e-4)
    assert len({tuple(machine.generate(TEXTS)) for machine in (both, translator(one), translator(two))}) == 3


def test_weights_and_means_matter_and_one_path_in_a_list_is_that_model(tmp_path: Path) -> None:
    tiny_bundle().save(tmp_path / "one")
    other_bundle().save(tmp_path / "two")
    paths = [tmp_path / "one", tmp_path / "two"]
    ways = [load(paths, weights=[1, 9]), load(paths, weights=[9, 1]), load(paths, mean="log-probabilities")]
    assert len({tuple(machine.generate(TEXTS)) for machine in ways}) == 3
    assert load(paths[:1]).generate(TEXTS) == load(paths[0]).generate(TEXTS)
    contrasted = load(paths[0], amateur=paths[1])
    assert contrasted.generate(TEXTS) != load(paths[0]).generate(TEXTS)


def changed(bundle: Bundle, alphabet: str, config: CodecConfig) -> Bundle:
    tokenizer = train_tokenizer(CharacterConfig(), [alphabet])
    return replace(bundle, codec=Codec(bundle.codec.source, tokenizer, config))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (changed(tiny_bundle(), "xyz", CodecConfig()), "target vocabulary"),
        (tiny_bundle(codec={"language_tag": True}), "language tag"),
        (tiny_bundle(codec={"context": 1}), "context"),
    ],
)
def test_models_that_do_not_fit_are_one_clear_error(other: Bundle, what: str) -> None:
    with pytest.raises(InputError, match=f"models that run together share their {what}"):
        together([tiny_bundle(), other], Mean.of(2))
    with pytest.raises(InputError, match=f"models that run together share their {what}"):
        together([tiny_bundle()], Mean.of(1), other)


def test_no_model_and_wrong_weights_are_errors(tmp_path: Path) -> None:
    tiny_bundle().save(tmp_path / "one")
    with pytest.raises(InputError, match="at least one"):
        load([])
    with pytest.raises(InputError, match="one positive weight a model"):
        load([tmp_path / "one"], weights=[1, 2])
