"""What an inspection shows is what the model does."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from isthmus.core.errors import ConfigError, InputError
from isthmus.evaluate.inspect import RUNNERS_UP, inspect
from isthmus.evaluate.inspection import Inspection
from isthmus.generate.alignment_head import FIELD
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.model.build import ModelConfig, build
from isthmus.model.bundle import Bundle
from tests.unit.generate.tiny_bundle import tiny_bundle

PLAIN = GenerationOptions.of({"guards": False, "split_sentences": False, "alternatives": RUNNERS_UP})
HEAD = {"layer": 0, "head": 1, "error": 0.25, "error_of_mean": 0.5, "links": 100}


def fixed_vector_bundle() -> Bundle:
    """A model whose decoder reads one vector, without weights."""
    other = tiny_bundle()
    size = other.codec.source.vocabulary.size
    config = ModelConfig.of({"preset": "cho2014", "d_model": 16})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return replace(other, config=config, model=build(config, size, size).eval())


@pytest.mark.parametrize("text", ["abc", "gg hh ee", "Abc def. Hgf!"])
def test_the_output_is_the_one_that_generating_gives(text: str) -> None:
    bundle = tiny_bundle({"unit": "sentence"})
    machine = translator(bundle)
    (answer,) = machine.answers([text], PLAIN)
    found = inspect(bundle, text)
    assert (found.source, found.target, found.found, found.given) == (text, answer.text, answer.text, False)
    assert found.score == pytest.approx(answer.hypotheses[0].score, abs=1e-4)
    hypothesis = answer.hypotheses[0].parts[0]
    assert [token.probability for token in found.tokens] == pytest.approx(
        [math.exp(one) for one in hypothesis.token_scores], abs=1e-5
    )
    assert sum(one.node.stop != "" for one in found.tree) == 5
    never = set(bundle.codec.target.pieces(sorted(bundle.codec.target.vocabulary.control)))
    for token, runners in zip(found.tokens, answer.hypotheses[0].alternatives[0], strict=True):
        allowed = [other for other in token.others if other.piece not in never]
        assert [one.piece for one in allowed] == bundle.codec.target.pieces([one.id for one in runners][: len(allowed)])
        better = sum(other.probability > token.probability for other in token.others)
        assert token.rank == better + 1 if better < RUNNERS_UP else token.rank > RUNNERS_UP


def test_a_given_output_is_read_instead() -> None:
    bundle = tiny_bundle()
    found = inspect(bundle, "abc", "hgf ab")
    (scored,) = translator(bundle).score(["abc"], ["hgf ab"])
    assert (found.target, found.given, found.found) == ("hgf ab", True, inspect(bundle, "abc").found)
    assert "".join(token.piece for token in found.tokens) == "hgf ab</s>"
    assert found.score == pytest.approx(scored.total, abs=1e-4)
    assert all(len(head) == len(found.tokens) for layer in found.layers for head in layer.heads)


def test_the_weights_are_those_of_every_head() -> None:
    bundle = tiny_bundle()
    found = inspect(bundle, "abc", "hgf")
    assert len(found.layers) == 2
    for layer in found.layers:
        assert layer.columns == found.source_pieces == found.encoded.labels == ("a", "b", "c", "</s>")
        assert len(layer.heads) == bundle.config.model_dump()["connection"]["heads"]
        assert layer.copy == ()
        for head in layer.heads:
            assert [sum(row) for row in head] == pytest.approx([1.0] * 4, abs=1e-5)
    assert len({layer.heads for layer in found.layers}) == 2


def linked(found: Inspection) -> list[tuple[str, str]]:
    return [(pair.source.text, pair.target.text) for pair in found.alignment.links]


def test_the_alignment_follows_the_head_that_the_bundle_names() -> None:
    text, target = "ab cd ef gh", "hg fe dc ba"
    for head in (0, 1, None):
        found = inspect(tiny_bundle({FIELD: {**HEAD, "head": head}}), text, target)
        heads = torch.tensor(found.layers[0].heads)
        weights = heads.mean(dim=0) if head is None else heads[head]
        word = [
            0,
            0,
            1,
            1,
            1,
            2,
            2,
            2,
            3,
            3,
            3,
        ]  # of the characters; a space goes with the word after it, the end with none
        of_word = torch.stack(
            [weights[:, [place for place, one in enumerate(word) if one == number]].sum(dim=1) for number in range(4)]
        )
        rows = [[place for place, one in enumerate(word) if one == number] for number in range(4)]
        best = [int(of_word[:, places].sum(dim=1).argmax()) for places in rows]
        assert linked(found) == [(text.split()[one], word) for one, word in zip(best, target.split(), strict=True)]
        assert ("mean over its heads" if head is None else f"layer 1, head {head + 1}") in found.alignment.origin
        assert "25%" in found.alignment.origin
    older = inspect(tiny_bundle(), text, target)
    assert "for want of a better choice" in older.alignment.origin
    assert [word.text for word in older.alignment.source_words] == text.split()


@pytest.mark.parametrize("value", [{**HEAD, "layer": -1}, {**HEAD, "head": "one"}, {**HEAD, "haed": 1}, {}, 3])
def test_a_damaged_field_is_an_error(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"config\.json: info\.alignment"):
        inspect(tiny_bundle({FIELD: value}), "abc")


@pytest.mark.parametrize("place", [{"layer": 2}, {"head": 4}])
def test_a_head_that_is_not_there_gives_no_alignment(place: dict[str, int]) -> None:
    found = inspect(tiny_bundle({FIELD: {**HEAD, **place}}), "ab cd", "dc ba")
    assert found.alignment.links == ()
    assert found.alignment.origin.startswith("none")


def test_a_decoder_without_weights_is_said_to_have_none() -> None:
    found = inspect(fixed_vector_bundle(), "ab cd")
    assert all(layer.heads == () for layer in found.layers)
    assert found.alignment.links == ()
    assert found.alignment.origin == "none: the decoder has no weights to say where it looked"
    assert "has no attention weights" in found.notes[0]
    assert len(found.encoded.points) == len("ab cd</s>".replace("</s>", "e"))


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": True, "top_p": 0.5},
        {"mbr": 4},
        {"diversity": 0.5},
        {"num_beams": 6, "num_beam_groups": 3, "diversity_penalty": 0.5, "num_return_sequences": 2},
        {"num_beams": 2, "length_penalty": 0.0},
    ],
    ids=str,
)
def test_whatever_the_bundle_says_it_is_one_plain_search(options: dict[str, Any]) -> None:
    found = inspect(tiny_bundle(generation=options), "abc")
    again = inspect(tiny_bundle(generation=options), "abc")
    assert found == again
    assert found.search.startswith(f"{options.get('num_beams', 5)} beams")
    assert sum(one.node.best and one.node.stop != "" for one in found.tree) == 1


def test_the_json_has_plain_rounded_values() -> None:
    found = inspect(tiny_bundle(), "abc")
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert values["format"] == 1
    assert values["layers"][0]["heads"][1][0] == [round(one, 4) for one in found.layers[0].heads[1][0]]
    assert values["tree"][0]["piece"] == ""
    assert values["tree"][1]["parent"] == 0


@pytest.mark.parametrize("text", ["", "  \n"])
def test_there_must_be_a_text(text: str) -> None:
    with pytest.raises(InputError, match="an inspection needs a text"):
        inspect(tiny_bundle(), text)


def test_texts_that_are_too_long_are_refused() -> None:
    with pytest.raises(InputError, match=r"an input is too long[\s\S]*at most 97"):
        inspect(tiny_bundle(), "ab " * 50)
    with pytest.raises(InputError, match=r"a target is too long[\s\S]*at most 97"):
        inspect(tiny_bundle(), "ab", "ab " * 50)
