"""The noisy channel: outputs of a search ranked again by what other models say of them."""

from __future__ import annotations

import pytest

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.rescore import NoisyChannel, with_channel
from isthmus.generate.translator import Translator
from tests.unit.generate.test_generate_together import other_bundle
from tests.unit.generate.tiny_bundle import tiny_bundle

SOURCES = ["abc", "fedcba", "", "gg hh ee", "a"]
FIVE = GenerationOptions(num_return_sequences=5, max_length=30, guards=False)

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")


@pytest.fixture(scope="module")
def plain() -> Translator:
    return translator(tiny_bundle())


@pytest.fixture(scope="module")
def backwards() -> Translator:
    return translator(other_bundle())


@pytest.mark.parametrize("weights", [(0.5, 0.0), (0.0, 2.0), (0.7, 0.3)])
def test_a_noisy_channel_ranks_by_its_equation(
    plain: Translator, backwards: Translator, weights: tuple[float, float]
) -> None:
    ranked = with_channel(plain, NoisyChannel(backwards, backwards, *weights))
    moved = 0
    sources = [one for one in SOURCES if one]
    for x, before, after in zip(sources, plain.answers(sources, FIVE), ranked.answers(sources, FIVE), strict=True):
        expected = {}
        for y in before.hypotheses:
            channel, language = backwards.score([y.text, ""], [x, y.text])
            t, s = y.parts[0].length, len(x) + 1
            expected[y.text] = y.score / t + (weights[0] * channel.total + weights[1] * language.total) / s
        assert [one.text for one in after.hypotheses] == sorted(expected, key=lambda text: -expected[text])
        for one in after.hypotheses:
            assert one.normalised == pytest.approx(expected[one.text], rel=1e-4)
        moved += after.text != before.text
    assert moved


def test_the_best_of_all_beams_is_given_where_one_output_is_asked_for(plain: Translator, backwards: Translator) -> None:
    ranked = with_channel(plain, NoisyChannel(backwards))
    best = [answer.text for answer in ranked.answers(SOURCES, FIVE)]
    assert ranked.generate(SOURCES, max_length=30, guards=False) == best
    assert best != plain.generate(SOURCES, max_length=30, guards=False)
    one, usual = (each.generate(SOURCES, num_beams=1, guards=False) for each in (ranked, plain))
    assert one == usual


def test_sentences_of_a_document_are_ranked_one_by_one(plain: Translator, backwards: Translator) -> None:
    ranked = with_channel(plain, NoisyChannel(backwards))
    alone = ranked.generate(["Abc.", "Fed cba."], max_length=30, split_sentences=False)
    (together,) = ranked.answers(["Abc. Fed cba."], GenerationOptions(max_length=30, split_sentences=True))
    assert [plain.codec.text(part.ids) for part in together.hypotheses[0].parts] == alone


def test_without_weight_the_order_stays(plain: Translator, backwards: Translator) -> None:
    usual = [[one.text for one in answer.hypotheses] for answer in plain.answers(SOURCES, FIVE)]
    for by in (NoisyChannel(backwards, None, 0.0), NoisyChannel(None, backwards, language_weight=0.0)):
        answers = with_channel(plain, by).answers(SOURCES, FIVE)
        assert [[one.text for one in answer.hypotheses] for answer in answers] == usual


def test_what_cannot_be_ranked_is_one_clear_error(plain: Translator, backwards: Translator) -> None:
    with pytest.raises(InputError, match="a channel or a language model"):
        NoisyChannel()
    with pytest.raises(InputError, match="weights of 0 or more"):
        NoisyChannel(backwards, channel_weight=-1.0)
    by = NoisyChannel(backwards)
    with pytest.raises(InputError, match="ranks what a search has found"):
        with_channel(plain, by).generate(SOURCES, do_sample=True)
    old = plain.codec
    two = Codec(old.source, old.target, old.config.model_copy(update={"sources": 2}))
    reads_two = Translator(plain.engine, two, plain.options, plain.task)
    with pytest.raises(InputError, match="gives back one source"):
        with_channel(reads_two, by)
