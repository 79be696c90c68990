"""Guards: what looks wrong is decoded again, the better one is kept, and it is said."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pytest

from isthmus.data.codec import Codec, CodecConfig
from isthmus.generate.answer import Answer, GenerationWarning
from isthmus.generate.guards import Guards, guarded
from isthmus.generate.jobs import Found, Job, Target
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.profile import Lengths, Profile
from isthmus.generate.repair import Repair
from isthmus.generate.state import Hypothesis, StopReason
from isthmus.text.build import train_tokenizer
from isthmus.text.tokenizer import CharacterConfig
from isthmus.text.vocabulary import EOS
from tests.unit.generate.tiny_bundle import tiny_bundle

TOKENIZER = train_tokenizer(CharacterConfig(), ["abcdefgh .!?\nжшщ"])
CODEC = Codec(TOKENIZER, TOKENIZER, CodecConfig(context=1))
USUAL = Profile(
    scripts=("LATIN",), repeated=3, ngram=5, lengths=(Lengths(up_to=12, low=0.5, high=2.0),), copies=0.0, empty=0.0
)
GUARDS = Guards.of(USUAL, CODEC)
TARGET = Target(EOS, CODEC.target.vocabulary.control)
TEXTS = ["abc", "fedcba", "", "h", "abc", "gg hh ee", "abcdefgh abcdefgh", "  "]


def job(text: str, translates: bool = True) -> Job:
    return Job((*CODEC.source.encode(text), EOS), translates=translates)


def output(text: str, score: float = -1.0, stop: StopReason = "end") -> Hypothesis:
    ids = tuple(CODEC.target.encode(text))
    return Hypothesis(ids, (score / (len(ids) + 1),) * (len(ids) + 1), score, score, stop)


@pytest.mark.parametrize(
    ("source", "text", "faults"),
    [
        ("ab cd ef gh", "ba dc fe hg", ()),
        ("ab cd ef gh", "ba ba ba ba ba", ("repetition",)),
        ("cd cd cd cd cd cd", "ba ba ba ba ba ba", ()),
        ("abcd", "hgfedcba hgfedcba.", ("too_long",)),
        ("ab cd ef gh", "h", ("too_short",)),
        ("ab cd ef gh", "Ab cd ef gh!", ("copy",)),
        ("ab cd", "ab cd", ()),
        ("abcd", "", ("empty",)),
        ("abcd", " \n", ("empty",)),
        ("abcd", "жшab", ("script",)),
        ("abcdef", "жabc", ()),
        ("abcd", "ab" * 20, ("repetition", "too_long")),
    ],
)
def test_faults(source: str, text: str, faults: tuple[str, ...]) -> None:
    assert GUARDS.faults(job(source), output(text)) == faults


def test_context_is_no_part_of_the_source() -> None:
    with_context = Job((*CODEC.source.encode("ab cd ef gh"), TOKENIZER.vocabulary.sep, *job("a").source))
    assert GUARDS.faults(with_context, output("b")) == ()


def test_what_training_does_is_no_fault() -> None:
    lenient = Guards.of(Profile(scripts=("CYRILLIC", "LATIN"), repeated=90, copies=0.5, empty=0.1), CODEC)
    for source, text in (("ab cd ef gh", "ab cd ef gh"), ("a", "жшщ"), ("a", ""), ("a", "ab" * 20)):
        assert lenient.faults(job(source), output(text)) == ()
    assert GUARDS.faults(job("ab cd ef gh", translates=False), output("ab cd ef gh")) == ()
    assert Guards.of(Profile(), CODEC).faults(job("a"), output("жшщ" * 3)) == ()
    assert GUARDS.faults(job("ab cd ef gh"), output("h", stop="max_length")) == ()


@pytest.mark.parametrize(
    ("fault", "options", "way"),
    [
        ("repetition", {}, "num_beams=10, no_repeat_ngram_size=5"),
        ("repetition", {"num_beams": 1, "no_repeat_ngram_size": 2}, "num_beams=5, no_repeat_ngram_size=2"),
        ("repetition", {"do_sample": True}, "no_repeat_ngram_size=5"),
        ("copy", {}, "num_beams=10, encoder_no_repeat_ngram_size=5"),
        ("empty", {"do_sample": True}, "min_length=2"),
        ("too_short", {"do_sample": True, "max_length": 1}, "min_length=1"),
        ("too_short", {"do_sample": True, "min_length": 4}, "min_length=4"),
        ("too_long", {"do_sample": True, "max_new_tokens": 90}, "max_length=29"),
        ("script", {"do_sample": True}, "no piece of other scripts"),
    ],
)
def test_the_safer_way(fault: Any, options: dict[str, Any], way: str) -> None:
    given = GenerationOptions.of(options)
    safer = GUARDS.safer(job("ab cd gh"), [fault], given)
    assert str(safer) == way
    assert given.updated(dict(safer.options))


def searched(
    first: Sequence[Hypothesis], second: Sequence[Hypothesis], **options: Any
) -> tuple[Found, list[tuple[GenerationOptions, Target]]]:
    """Guard a search that gives certain outputs the first time, and others the second time."""
    asked: list[tuple[GenerationOptions, Target]] = []

    def search(jobs: Sequence[Job], target: Target, given: GenerationOptions) -> list[Found]:
        asked.append((given, target))
        return [Found(tuple(first if len(asked) == 1 else second), 1.0) for _ in jobs]

    (found,) = guarded(search, [job("ab cd ef gh")], TARGET, GenerationOptions.of(options), GUARDS)
    return found, asked


GOOD, OTHER, LOOP, LONGER = output("ba dc fe hg", -3.0), output("ba dc", -2.0), output("ba" * 6), output("abgh" * 40)


def test_what_is_fine_is_left_alone() -> None:
    found, asked = searched([GOOD], [])
    assert (found.hypotheses, found.repairs, found.seconds, len(asked)) == ((GOOD,), (), 1.0, 1)


def test_the_better_one_is_kept_and_said() -> None:
    found, asked = searched([LOOP], [GOOD])
    assert found.hypotheses == (GOOD,)
    way = "num_beams=10, no_repeat_ngram_size=5"
    assert found.repairs == (Repair(("repetition",), way, "second", ()),)
    assert str(found.repairs[0]).startswith("the output repeats itself; it was decoded again with num_beams=10, ")
    assert (found.seconds, asked[1][0].no_repeat_ngram_size, asked[1][1]) == (2.0, 5, TARGET)


def test_of_equals_the_first_is_kept() -> None:
    found, _ = searched([LOOP], [output("cd" * 6, -0.5)])
    assert found.hypotheses == (LOOP,)
    assert found.repairs[0] is not None
    assert (found.repairs[0].kept, found.repairs[0].left) == ("first", ("repetition",))
    assert "gave nothing better" in str(found.repairs[0])


def test_an_improvement_that_is_not_perfect_is_kept_and_its_fault_said() -> None:
    found, _ = searched([LONGER], [LOOP])
    assert found.hypotheses == (LOOP,)
    assert str(found.repairs[0]).endswith("and that is given, though it repeats itself")
    found, _ = searched([LONGER], [output("ba dc fe", stop="max_length")])
    assert found.hypotheses[0].stop == "max_length"


def test_pieces_of_other_scripts_are_ruled_out() -> None:
    _, asked = searched([output("жшщ жшщ")], [GOOD])
    assert {*asked[1][1].never} == {*TARGET.never, *TOKENIZER.encode("жшщ")}


def test_of_several_the_sound_ones_come_first() -> None:
    found, _ = searched([LOOP, GOOD], [GOOD, OTHER], num_return_sequences=2)
    assert found.hypotheses == (OTHER, GOOD)
    assert found.repairs[0] is not None
    assert (found.repairs[0].kept, found.repairs[1]) == ("second", None)
    found, _ = searched([LOOP, GOOD], [GOOD], num_return_sequences=2)
    assert found.hypotheses == (GOOD, LOOP)


def test_a_sample_gives_way_to_the_same_sample() -> None:
    found, asked = searched([GOOD, LOOP], [OTHER, OTHER], do_sample=True, num_return_sequences=2, seed=3)
    assert found.hypotheses == (GOOD, OTHER)
    assert asked[1][0].seed == 3


def told(answers: Sequence[Answer]) -> list[Any]:
    """All but the scores, of which the last bit may differ."""
    return [[(part.text, part.stop, part.repairs) for part in one.hypotheses] for one in answers]


@pytest.mark.parametrize(
    "values",
    [{}, {"num_beams": 2, "num_return_sequences": 2}, {"do_sample": True, "seed": 7, "num_return_sequences": 2}],
)
def test_order_and_company_change_nothing(values: dict[str, Any]) -> None:
    """With a model that nearly always does wrong."""
    strict = {"scripts": ["GREEK"], "repeated": 0, "ngram": 3, "lengths": [{"up_to": 9, "low": 1.5, "high": 2.0}]}
    mine = translator(tiny_bundle({"targets": strict, "source_language": "en", "target_language": "el"}))
    options = GenerationOptions.of({"max_length": 12, **values})
    together = mine.answers(TEXTS, options)
    assert any(repair and repair.kept == "second" for one in together for repair in one.hypotheses[0].repairs)
    assert told(mine.answers(TEXTS[::-1], options.updated({"batch": 2}))[::-1]) == told(together)
    assert told([mine.answers([text], options)[0] for text in TEXTS]) == told(together)
    off = mine.answers(TEXTS, options.updated({"guards": False}))
    assert [one.text for one in off] != [one.text for one in together]
    assert not any(repair for one in off for repair in one.hypotheses[0].repairs)


def test_what_the_guards_did_is_told_to_the_user() -> None:
    endless = translator(tiny_bundle(end_bonus=9.0))
    with pytest.warns(GenerationWarning, match="the output is empty; it was decoded again with .*min_length=1"):
        (text,) = endless.generate("gg hh ee")
    assert text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert endless.generate("gg hh ee", guards=False) == [""]
    (answer,) = endless.answers(["gg hh ee"], GenerationOptions(max_length=1, bad_words=("a", "b")))
    assert answer.hypotheses[0].repairs[0] is not None


def test_a_fault_that_stays_is_the_stop_reason() -> None:
    lengths = [{"up_to": 9, "low": 40.0, "high": 50.0}]
    mine = translator(tiny_bundle({"targets": {"lengths": lengths}}, end_bonus=3.5))
    (answer,) = mine.answers(["c"], GenerationOptions(do_sample=True, seed=1, max_length=5))
    assert answer.hypotheses[0].stop in ("too_short", "max_length")
