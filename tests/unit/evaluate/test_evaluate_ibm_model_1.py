"""Which word goes with which, on texts where that is known."""

from __future__ import annotations

import random

from isthmus.evaluate.ibm_model_1 import agreed_links


def dictionary_language(
    pairs: int, seed: int = 1
) -> tuple[list[list[str]], list[list[str]], list[set[tuple[int, int]]]]:
    """Texts word for word by a dictionary, neighbours changed about, and here and there a word that stands for nothing."""
    generator = random.Random(seed)
    sources, targets, known = [], [], []
    for _ in range(pairs):
        source = generator.sample([f"s{number}" for number in range(40)], generator.randint(2, 8))
        order = list(range(len(source)))
        for place in range(len(order) - 1):
            if generator.random() < 0.4:
                order[place], order[place + 1] = order[place + 1], order[place]
        target, links = [], set()
        for place in order:
            if generator.random() < 0.2:
                target.append("the")
            links.add((place, len(target)))
            target.append("t" + source[place][1:])
        sources.append(source)
        targets.append(target)
        known.append(links)
    return sources, targets, known


def test_a_dictionary_is_found_again() -> None:
    sources, targets, known = dictionary_language(500)
    found = agreed_links(sources, targets, 100)
    assert len(found) == 100
    agreed = sum(len(one & other) for one, other in zip(found, known, strict=False))
    assert agreed >= 0.97 * sum(map(len, known[:100]))
    assert agreed >= 0.97 * sum(map(len, found))


def test_no_word_has_two_links() -> None:
    sources, targets, _ = dictionary_language(50)
    for links in agreed_links(sources, targets, 50):
        assert len({s for s, _ in links}) == len({t for _, t in links}) == len(links)


def test_of_equal_words_the_one_at_the_same_place_is_taken() -> None:
    sources = [["a", "b", "a"], ["a"], ["b"]] * 20
    targets = [["x", "y", "x"], ["x"], ["y"]] * 20
    assert agreed_links(sources, targets, 1) == [frozenset({(0, 0), (1, 1), (2, 2)})]


def test_texts_without_words_have_no_links() -> None:
    assert agreed_links([["a"], [], ["b"]], [["x"], ["y"], []], 3)[1:] == [frozenset(), frozenset()]
    assert agreed_links([], [], 0) == []
