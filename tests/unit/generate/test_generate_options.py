"""Options: names, defaults, contradictions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.core.config import Config
from isthmus.core.errors import InputError
from isthmus.generate.options import GenerationOptions


def test_the_default_is_a_beam_of_five() -> None:
    options = GenerationOptions()
    assert (options.beams, options.do_sample, options.limit) == (5, False, None)
    assert (options.temperature, options.top_k, options.top_p) == (1.0, 50, 1.0)


def test_sampling_has_one_beam() -> None:
    assert GenerationOptions.of({"do_sample": True}).beams == 1


@pytest.mark.parametrize("name", ["max_length", "max_new_tokens"])
def test_the_maximum_length_has_two_names(name: str) -> None:
    assert GenerationOptions.of({name: 50}).limit == 50


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"max_length": 5, "max_new_tokens": 5}, ("max_length", "max_new_tokens")),
        ({"min_length": 6, "max_length": 5}, ("min_length", "max_length")),
        ({"temperature": 0.7}, ("temperature", "do_sample")),
        ({"top_k": 7}, ("top_k", "do_sample")),
        ({"top_p": 0.7, "do_sample": False}, ("top_p", "do_sample")),
        ({"min_p": 0.1}, ("min_p", "do_sample")),
        ({"typical_p": 0.9}, ("typical_p", "do_sample")),
        ({"epsilon_cutoff": 3e-4}, ("epsilon_cutoff", "do_sample")),
        ({"eta_cutoff": 3e-4, "num_beams": 1}, ("eta_cutoff", "do_sample")),
        ({"min_length": 5, "min_new_tokens": 5}, ("min_length", "min_new_tokens")),
        ({"min_new_tokens": 6, "max_new_tokens": 5}, ("min_new_tokens", "max_new_tokens")),
        ({"min_length_ratio": 1.5, "max_length_ratio": 1.2}, ("min_length_ratio", "max_length_ratio")),
        ({"do_sample": True, "num_beams": 5}, ("num_beams", "do_sample")),
        ({"do_sample": True, "early_stopping": True}, ("early_stopping", "do_sample")),
        ({"num_return_sequences": 6}, ("num_return_sequences", "num_beams")),
    ],
)
def test_contradictions_are_errors_that_name_both(values: dict[str, Any], names: tuple[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        GenerationOptions.of(values)
    assert caught.value.rule == f"`{names[0]}` and `{names[1]}` contradict each other"
    assert caught.value.fix
    for name in names:
        assert f"{name}=" in caught.value.got


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "do_sample": False},
        {"do_sample": True, "num_beams": 1, "temperature": 2, "num_return_sequences": 9},
        {"seed": 3},
        {"num_beams": 2, "num_return_sequences": 2, "early_stopping": "never"},
        {"typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "repetition_penalty": 1.2},
        {"max_length": 9, "max_length_ratio": 1.5, "min_length": 3, "min_length_ratio": 0.5},
        {"bad_words": ["a", "b c"], "bad_words_ids": [[4, 5]], "suppress_tokens": [7], "forced_bos_token_id": 5},
    ],
)
def test_these_hold_together(values: dict[str, Any]) -> None:
    GenerationOptions.of(values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"num_beam": 3}, "did you mean `num_beams`?"),
        ({"temprature": 0.5}, "did you mean `temperature`?"),
        ({"max_lenght": 3}, "did you mean `max_length`?"),
        ({"num_beams": 0}, "num_beams"),
        ({"temperature": 0.0, "do_sample": True}, "temperature"),
        ({"top_p": 1.5, "do_sample": True}, "top_p"),
        ({"max_length": 0}, "max_length"),
        ({"num_beams": "5"}, "num_beams"),
        ({"early_stopping": "always"}, "early_stopping"),
        ({"bad_word": ["a"]}, "did you mean `bad_words`?"),
        ({"no_repeat_ngrams": 3}, "did you mean `no_repeat_ngram_size`?"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"bad_words": "abc"}, "bad_words"),
        ({"bad_words": [""]}, "bad_words"),
        ({"bad_words_ids": [[]]}, "bad_words_ids"),
        ({"suppress_tokens": [-1]}, "suppress_tokens"),
        ({"typical_p": 0.0, "do_sample": True}, "typical_p"),
        ({"eta_cutoff": 1.0, "do_sample": True}, "eta_cutoff"),
        ({"max_length_ratio": 0.0}, "max_length_ratio"),
    ],
)
def test_unknown_names_and_bad_values_are_errors(values: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        GenerationOptions.of(values)
    assert says in str(caught.value)


def test_what_a_call_says_wins_over_the_bundle() -> None:
    bundle = GenerationOptions.of({"num_beams": 4, "length_penalty": 0.6, "max_length": 30})
    searched = bundle.updated({"max_new_tokens": 20})
    assert (searched.num_beams, searched.length_penalty, searched.limit) == (4, 0.6, 20)
    sampled = bundle.updated({"do_sample": True, "temperature": 0.5})
    assert (sampled.beams, sampled.temperature, sampled.length_penalty) == (1, 0.5, 0.6)
    assert sampled.updated({"do_sample": False}).temperature == 1.0
    assert sampled.updated({"top_k": 3}).do_sample
    with pytest.raises(InputError):
        bundle.updated({"temperature": 0.5})


def test_the_minimum_length_has_two_names() -> None:
    bundle = GenerationOptions.of({"min_length": 3, "max_length": 30})
    assert (bundle.floor, bundle.updated({"min_new_tokens": 7}).floor) == (3, 7)
    assert bundle.updated({"min_new_tokens": 7, "max_new_tokens": 8}).limit == 8


def test_what_a_model_says_comes_back_from_json() -> None:
    options = GenerationOptions.of({"bad_words": ["a"], "bad_words_ids": [[4, 5]], "suppress_tokens": [7]})
    assert GenerationOptions.of(json.loads(options.model_dump_json(exclude_unset=True))) == options
    assert options.updated({"suppress_tokens": (8, 9)}).suppress_tokens == (8, 9)


def test_each_option_stands_in_one_group() -> None:
    groups = [set(group.model_fields) for group in GenerationOptions.__bases__ if issubclass(group, Config)]
    assert sum(map(len, groups)) == len(set().union(*groups)) == len(GenerationOptions.model_fields)
