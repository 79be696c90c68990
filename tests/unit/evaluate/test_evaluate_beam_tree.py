"""The tree of the search: every beam is a way through it, and its numbers are the model's."""

from __future__ import annotations

import math

import pytest

from isthmus.core.errors import InputError
from isthmus.evaluate.beam_tree import Node, beam_tree
from isthmus.generate.jobs import Job, Target, prepared
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.score import token_scores
from isthmus.generate.search import search
from isthmus.generate.state import SearchState
from isthmus.generate.translator import Translator
from isthmus.text.vocabulary import EOS
from tests.unit.generate.tiny_bundle import tiny_bundle


@pytest.fixture(scope="module")
def machine() -> Translator:
    return translator(tiny_bundle())


def states(machine: Translator, text: str, beams: int, length: int = 9, groups: int = 1) -> list[SearchState]:
    diverse = {"num_beam_groups": groups, "diversity_penalty": 0.5} if groups > 1 else {}
    options = GenerationOptions.of({"num_beams": beams, "max_length": length, **diverse})
    source = (*machine.codec.source.encode(text), EOS)
    target = Target(EOS, machine.codec.target.vocabulary.control)
    return list(search(*prepared(machine.engine, [Job(source)], target, options)))


def way(tree: tuple[Node, ...], place: int) -> list[int]:
    ids: list[int] = []
    while place > 0:
        ids, place = [tree[place].id, *ids], tree[place].parent
    return ids


@pytest.mark.parametrize("beams", [1, 2, 5])
@pytest.mark.parametrize("text", ["abc", "gg hh ee", "Abc def. Hgf!"])
def test_every_beam_is_a_way_through_the_tree(machine: Translator, text: str, beams: int) -> None:
    moments = states(machine, text, beams)
    tree = beam_tree(moments, EOS)
    ways = {tuple(way(tree, place)): node for place, node in enumerate(tree)}
    assert len(ways) == len(tree)
    for place, node in enumerate(tree[1:], 1):
        assert 0 <= node.parent < place
        assert node.depth == tree[node.parent].depth + 1
        assert node.score == pytest.approx(tree[node.parent].score + node.log_prob)
    for moment in moments:
        rows = zip(moment.beams.ids_NKT.flatten(0, 1).tolist(), moment.beams.score_NK.flatten().tolist(), strict=True)
        for ids, score in rows:
            assert score == -math.inf or ways[tuple(ids)].score == pytest.approx(score, abs=1e-5)
    finished = moments[-1].finished[0]
    ended = {ids: node for ids, node in ways.items() if node.stop}
    assert {(*one.ids, EOS) if one.stop == "end" else one.ids: one.stop for one in finished} == {
        ids: node.stop for ids, node in ended.items()
    }
    best = [way(tree, place) for place, node in enumerate(tree) if node.best]
    assert max(best, key=len) == [*finished[0].ids, *([EOS] if finished[0].stop == "end" else [])]
    assert len(best) == len(max(best, key=len)) + 1


def test_the_numbers_are_those_of_scoring_again(machine: Translator) -> None:
    tree = beam_tree(states(machine, "abc", 5), EOS)
    source = [*machine.codec.source.encode("abc"), EOS]
    size = machine.codec.target.vocabulary.size
    for place, node in enumerate(tree[1:], 1):
        (again,) = token_scores(machine.engine, [(source, way(tree, place))], size)
        assert node.log_prob == pytest.approx(again[-1], abs=1e-5)
        assert node.score == pytest.approx(math.fsum(again), abs=1e-5)


def test_one_beam_is_a_chain(machine: Translator) -> None:
    tree = beam_tree(states(machine, "abc", 1, length=3), EOS)
    assert [node.parent for node in tree] == list(range(-1, len(tree) - 1))
    assert tree[-1].stop in ("end", "max_length")


def test_several_searches_have_no_tree(machine: Translator) -> None:
    with pytest.raises(InputError, match=r"a tree of beams is that of one search[\s\S]*got: 2"):
        beam_tree(states(machine, "abc", 4, groups=2), EOS)
