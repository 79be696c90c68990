"""The translator: text in, text out, in order, nothing cut in silence."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus.core.errors import BundleError, InputError
from isthmus.core.runtime import Runtime
from isthmus.data.example import Example
from isthmus.generate.answer import GenerationWarning
from isthmus.generate.batches import batches
from isthmus.generate.load import load, translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from tests.unit.generate.tiny_bundle import tiny_bundle

TEXTS = ["abc", "fedcba", "", "h", "abc", "gg hh ee", "abcdefgh abcdefgh", "  "]
SAMPLING: dict[str, Any] = {"do_sample": True, "seed": 7, "num_return_sequences": 3, "top_k": 9}

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")


@pytest.fixture(scope="module")
def plain() -> Translator:
    return translator(tiny_bundle())


@pytest.fixture(scope="module")
def by_sentence() -> Translator:
    return translator(tiny_bundle({"unit": "sentence", "source_language": "en", "target_language": "fr"}))


@pytest.mark.parametrize("values", [{}, {"num_beams": 1}, {"num_beams": 3, "num_return_sequences": 3}, SAMPLING])
def test_order_and_company_change_nothing(plain: Translator, values: dict[str, Any]) -> None:
    n = values.get("num_return_sequences", 1)
    together = plain.generate(TEXTS, **values)
    assert len(together) == n * len(TEXTS)
    assert plain.generate(TEXTS, batch=2, **values) == together
    backwards = plain.generate(TEXTS[::-1], **values)
    for index, text in enumerate(TEXTS):
        mine = together[n * index : n * index + n]
        last = len(TEXTS) - 1 - index
        assert backwards[n * last : n * last + n] == mine
        assert plain.generate(text, **values) == mine
    assert len(set(together)) > 5


def test_an_empty_input_gives_an_empty_output(plain: Translator, by_sentence: Translator) -> None:
    assert plain.generate([]) == []
    assert plain.generate("") == plain.generate(" ") == by_sentence.generate("") == [""]
    assert plain.generate(["", "abc"], num_return_sequences=2, num_beams=2)[:2] == ["", ""]
    assert by_sentence.generate("\n \n") == ["\n \n"]


def test_sentences_are_generated_one_by_one_and_joined(by_sentence: Translator) -> None:
    texts = ["Abc def. Hgf!", "Abc def.", "Hgf!"]
    both, first, second = by_sentence.generate(texts)
    assert both == f"{first} {second}"
    assert by_sentence.generate("  Abc def.\n\n\tHgf!\n") == [f"  {first}\n\n\t{second}\n"]
    assert by_sentence.generate(texts[0], split_sentences=False) != [both]
    (answer,) = by_sentence.answers(texts[:1])
    assert [(part.start, part.end) for part in answer.segments] == [(0, 8), (9, 13)]
    assert len(answer.hypotheses[0].parts) == 2
    assert answer.hypotheses[0].score == pytest.approx(sum(part.score for part in answer.hypotheses[0].parts))


def test_other_models_get_the_whole_text(plain: Translator) -> None:
    (answer,) = plain.answers(["Abc def. Hgf!"])
    assert len(answer.segments) == 1
    (answer,) = plain.answers(["Abc def. Hgf!"], GenerationOptions(split_sentences=True))
    assert len(answer.segments) == 2


def test_answers_carry_what_is_known(plain: Translator) -> None:
    options = GenerationOptions(num_beams=4, num_return_sequences=3, attention=True)
    for text, answer in zip(TEXTS, plain.answers(TEXTS, options), strict=True):
        assert len(answer.hypotheses) == 3
        assert answer.seed is None
        for one in answer.hypotheses:
            if not text.strip():
                assert (one.text, one.parts) == ("", ())
                continue
            (part,) = one.parts
            assert one.text == plain.codec.text(part.ids)
            assert one.score == part.score == pytest.approx(sum(part.token_scores))
            assert part.attention_TS is not None
            assert part.attention_TS.shape == (len(part.token_scores), len(text) + 1)
            torch.testing.assert_close(part.attention_TS.sum(dim=1), torch.ones(len(part.token_scores)))
        assert answer.text == answer.hypotheses[0].text
        assert (answer.seconds > 0) == bool(text.strip())


def test_the_maximum_length_is_a_stop_reason_and_a_warning(plain: Translator) -> None:
    with pytest.warns(GenerationWarning, match=r"input 1: 'gg hh ee': the output reached its maximum length"):
        (text,) = plain.generate("gg hh ee", max_length=2, num_beams=1)
    assert len(text) <= 2
    (answer,) = plain.answers(["gg hh ee"], GenerationOptions(max_new_tokens=2, num_beams=1))
    assert answer.hypotheses[0].stop == "max_length"
    assert len(answer.warnings) == 1


def test_no_warning_without_a_reason(plain: Translator) -> None:
    (answer,) = plain.answers(["c"], GenerationOptions(max_length=90))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plain.generate("c", max_length=90) == [answer.text]
    assert answer.hypotheses[0].stop == "end"


def test_the_default_length_is_twice_the_source_and_ten(plain: Translator) -> None:
    endless = translator(tiny_bundle(end_bonus=-50.0))
    for text in ("abc", "abcdefgh"):
        (answer,) = endless.answers([text], GenerationOptions(num_beams=1))
        assert len(answer.hypotheses[0].parts[0].ids) == 2 * len(text) + 10
    (answer,) = endless.answers(["abcdefgh" * 6], GenerationOptions(num_beams=1))
    assert len(answer.hypotheses[0].parts[0].ids) == 96  # as far as the positions reach


@pytest.mark.parametrize(
    ("text", "values", "says"),
    [
        ("a" * 97, {}, ["too long", "at most 97", "98 pieces", "input 2"]),
        ("abc", {"max_length": 97}, ["maximum length", "at most 96", "97"]),
        ("abc", {"temperature": 0.5}, ["`temperature` and `do_sample`"]),
        ("abc", {"num_return_sequences": 6}, ["`num_return_sequences` and `num_beams`"]),
        ("abc", {"top_p": 0.0, "do_sample": True}, ["top_p"]),
    ],
)
def test_wrong_use_is_one_clear_error(plain: Translator, text: str, values: dict[str, Any], says: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        plain.generate(["abc", text], **values)
    for part in says:
        assert part in str(caught.value)


def test_a_text_too_long_as_a_whole_is_fine_by_sentences(by_sentence: Translator) -> None:
    text = " ".join(["Abc def."] * 20)
    assert len(by_sentence.answers([text])[0].segments) == 20
    with pytest.raises(InputError, match="too long"):
        by_sentence.generate(text, split_sentences=False)


def test_a_limit_of_the_codec_is_kept_too() -> None:
    short = translator(tiny_bundle(codec={"max_source_length": 5}))
    assert len(short.generate("abcd")) == 1
    with pytest.raises(InputError, match="at most 5"):
        short.generate("abcde")


def test_samples_have_a_seed_that_is_told(plain: Translator) -> None:
    free = GenerationOptions(do_sample=True)
    one, other = plain.answers(["abcdefgh"], free)[0], plain.answers(["abcdefgh"], free)[0]
    assert one.seed != other.seed
    assert plain.generate("abcdefgh", do_sample=True, seed=one.seed) == [one.text]


def test_the_bundle_s_options_hold_unless_the_call_says_otherwise() -> None:
    bundle = tiny_bundle(generation={"num_beams": 2, "max_length": 3})
    mine = translator(bundle)
    assert mine.answers(["abcdefgh"])[0] != translator(tiny_bundle()).answers(["abcdefgh"])[0]
    assert len(mine.answers(["abcdefgh"])[0].hypotheses[0].parts[0].ids) <= 3
    sampling = translator(tiny_bundle(generation={"do_sample": True, "temperature": 2.0}))
    assert sampling.generate("abc", temperature=1e-4) == mine.generate("abc", num_beams=1, max_length=16)
    assert sampling.generate("abc", do_sample=False) == translator(tiny_bundle()).generate("abc")
    with pytest.raises(InputError, match="num_beams"):
        mine.generate("abc", num_return_sequences=3)
    with pytest.raises(InputError, match="did you mean `num_beams`"):
        translator(tiny_bundle(generation={"num_beam": 2}))


def test_examples_bring_context_and_a_beginning() -> None:
    one = translator(tiny_bundle(codec={"context": 1}))
    bare, with_context, begun = one.answers(
        [Example(("abc",), ""), Example(("abc",), "", context=("hgf",)), Example(("abc",), "", prefix="hh")]
    )
    assert bare.text == one.generate("abc")[0]
    assert with_context.text != bare.text
    assert begun.text.startswith("hh")


def test_any_number_of_inputs_in_windows(plain: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.generate.translator.WINDOW", 3)
    read: list[int] = []

    def texts() -> Any:
        for number, text in enumerate(TEXTS):
            read.append(number)
            yield text

    answers = plain.each(texts(), GenerationOptions(num_beams=2))
    first = next(answers)
    assert read == [0, 1, 2]
    assert [first.text, *(answer.text for answer in answers)] == plain.generate(TEXTS, num_beams=2)


def test_an_error_counts_the_inputs_of_all_windows(plain: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.generate.translator.WINDOW", 2)
    with pytest.raises(InputError, match="input 4: 'aaaa"):
        list(plain.each(["a", "b", "c", "a" * 97]))


@pytest.mark.parametrize("folder", ["bundle", "run"])
def test_a_bundle_on_disk_generates_as_in_memory(tmp_path: Path, plain: Translator, folder: str) -> None:
    tiny_bundle().save(tmp_path / ("bundle" if folder == "bundle" else "run/best"))
    loaded = load(tmp_path / folder, device="cpu", threads=1)
    assert loaded.generate(TEXTS) == plain.generate(TEXTS)


def test_a_folder_that_is_no_bundle_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BundleError):
            load(path)


def test_keywords_are_the_options() -> None:
    keywords = set(inspect.signature(Translator.generate).parameters) - {"self", "texts", "options", "unknown"}
    assert keywords == set(GenerationOptions.model_fields) - {"attention", "alignment", "alternatives", "token_scores"}


def test_an_unknown_keyword_is_an_error_that_names_the_nearest(plain: Translator) -> None:
    with pytest.raises(InputError) as caught:
        plain.generate("ab", num_beam=3)  # type: ignore[arg-type]
    assert (caught.value.rule, caught.value.fix) == ("unknown field `num_beam`", "did you mean `num_beams`?")


def test_keywords_reach_the_search(plain: Translator) -> None:
    free = plain.generate(TEXTS, num_beams=1)
    first = plain.codec.target.encode(free[0][0])
    chosen = plain.generate(TEXTS, num_beams=1, begin_suppress_tokens=first, no_repeat_ngram_size=1)
    assert free[0][0] not in {text[:1] for text in chosen}
    assert all(len({*text}) == len(text) for text in chosen)


def test_bfloat16_runs() -> None:
    low = translator(tiny_bundle(), Runtime(precision="bfloat16"))
    assert len(low.generate(TEXTS)) == len(TEXTS)


def test_batches_hold_each_place_once_and_keep_to_the_budget() -> None:
    lengths = [5, 300, 64, 1, 128, 9000, 64, 0]
    found = batches(lengths, 3)
    assert sorted(place for places in found for place in places) == list(range(len(lengths)))
    for places in found:
        assert len(places) == 1 or (len(places) <= 3 and len(places) * max(lengths[p] for p in places) <= 3 * 64)
    assert batches([], 3) == []
    assert batches([1] * 7, 3) == [[0, 1, 2], [3, 4, 5], [6]]
