"""The script of the page draws what the data says, and answers to the pointer and to the keyboard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.evaluate.inspect import inspect
from isthmus.evaluate.inspection import Alignment, Inspection, Layer
from isthmus.evaluate.page import page
from isthmus.generate.alignment_head import FIELD
from tests.unit.evaluate.browser import Browser
from tests.unit.evaluate.test_evaluate_inspect import HEAD, fixed_vector_bundle
from tests.unit.evaluate.test_evaluate_page import NASTY
from tests.unit.generate.tiny_bundle import tiny_bundle


@pytest.fixture(scope="module")
def found() -> Inspection:
    return inspect(tiny_bundle({FIELD: HEAD}), "ab cd ef", "dc ba")


@pytest.fixture(scope="module")
def browser(found: Inspection) -> Browser:
    return Browser(page(found))


def test_pieces_and_facts_are_written(browser: Browser, found: Inspection) -> None:
    assert browser.text("source") == "ab cd ef"
    assert browser.text("target") == "dc ba"
    assert browser.say("document.title") == "Inside the model: ab cd ef"
    pieces = [piece.replace(" ", "␣") for piece in found.source_pieces]
    assert browser.say("places['source-pieces'].children.map((one) => one.textContent)") == pieces
    assert f"the model itself finds: {found.found}" in browser.text("notes")
    assert "By layer 1, head 2: " in browser.text("origin")
    assert "multi-head-attention" in browser.text("facts")


def test_each_link_is_drawn_and_a_word_tells_its_own(browser: Browser, found: Inspection) -> None:
    links = found.alignment.links
    assert browser.say("places.links.all('path').length") == len(links) == 2
    assert browser.say("places.links.all('g').map((one) => one.attributes['aria-label'])") == [
        "ab",
        "cd",
        "ef",
        "dc",
        "ba",
    ]
    browser.do("places.links.all('g')[3].fire('focus')")
    assert browser.text("links-said").startswith(f"{links[0].source.text} → dc (")
    faded = browser.say("places.links.all('path').map((one) => one.names.has('faded'))")
    assert faded == [False, True]
    browser.do("places.links.all('svg')[0].fire('pointerleave')")
    assert browser.say("places.links.all('path').some((one) => one.names.has('faded'))") is False


def test_the_map_answers_to_keys_and_pointer(browser: Browser, found: Inspection) -> None:
    browser.do("places.heads.all('button')[1].fire('click')")
    assert browser.text("head-name") == "Layer 1, head 2"
    browser.do("places.map.all('svg')[0].fire('focus')")
    head = found.layers[0].heads[1]

    def said(row: int, column: int) -> str:
        names = [token.piece.replace(" ", "␣") for token in found.tokens]
        columns = [piece.replace(" ", "␣") for piece in found.layers[0].columns]
        share = round(head[row][column], 4)
        percent = "100 %" if share >= 0.9995 else "< 0.1 %" if share < 0.0005 else f"{share * 100:.1f} %"
        return f"for {names[row]}: {percent} of {columns[column]}"

    assert browser.text("map-said") == said(0, 0)
    for key, place in (
        ("ArrowDown", (1, 0)),
        ("ArrowRight", (1, 1)),
        ("ArrowUp", (0, 1)),
        ("ArrowLeft", (0, 0)),
        ("ArrowUp", (0, 0)),
    ):
        browser.do(f"places.map.all('svg')[0].fire('keydown', {{ key: '{key}' }})")
        assert browser.text("map-said") == said(*place)
    frame = browser.say("places.map.all('rect').find((one) => one.attributes.class === 'frame').attributes")
    cell = float(frame["width"]) / len(found.layers[0].columns)
    x, y = float(frame["x"]) + 2.5 * cell, float(frame["y"]) + 3.5 * cell
    browser.do(f"places.map.all('svg')[0].fire('pointermove', {{ clientX: {x}, clientY: {y} }})")
    assert browser.text("map-said") == said(3, 2)
    browser.do("places.cosines.all('svg')[0].fire('focus')")
    assert browser.text("cosines-said") == "a and a: 1.000"


def test_every_head_and_its_mean_can_be_chosen(browser: Browser, found: Inspection) -> None:
    heads = len(found.layers[0].heads)
    labels = browser.say("places.heads.all('button').map((one) => one.attributes['aria-label'])")
    assert labels == [
        f"Layer {layer}, {name}" for layer in (1, 2) for name in [*(f"head {n + 1}" for n in range(heads)), "mean"]
    ]
    browser.do("places.heads.all('button')[4].fire('click')")
    pressed = browser.say("places.heads.all('button').map((one) => one.attributes['aria-pressed'])")
    assert [place for place, one in enumerate(pressed) if one == "true"] == [4]
    browser.do("places.map.all('svg')[0].fire('focus')")
    mean = sum(round(head[0][0], 4) for head in found.layers[0].heads) / heads
    assert float(browser.text("map-said").split(": ")[1].split(" %")[0]) == pytest.approx(mean * 100, abs=0.06)


def test_tokens_and_tree_are_drawn(browser: Browser, found: Inspection) -> None:
    assert browser.say("places.tokens.children.length") == len(found.tokens)
    token = found.tokens[0]
    assert browser.say("places.tokens.children[0].textContent").startswith(token.piece)
    assert (
        browser.say("places.tokens.children[0].all('i')[0].style.width") == f"{round(token.probability, 4) * 100:.15g}%"
    )
    nodes = browser.say("places.tree.all('g').map((one) => one.attributes.class)")
    assert len(nodes) == len(found.tree)
    assert sum("best" in kind for kind in nodes) == sum(one.node.best for one in found.tree)
    assert sum("ended" in kind for kind in nodes) == sum(one.node.stop != "" for one in found.tree)
    assert browser.say("places.tree.all('path').length") == len(found.tree) - 1
    browser.do("places.tree.all('g')[1].fire('pointerenter')")
    assert browser.text("tree-said").startswith(found.tree[1].piece.replace(" ", "␣").replace("\n", "⏎") + ": ")
    heights = browser.say("places.tree.all('circle').map((one) => [one.attributes.cx, one.attributes.cy])")
    assert len({tuple(one) for one in heights}) == len(found.tree)


def test_a_decoder_without_weights_is_said_to_have_none() -> None:
    browser = Browser(page(inspect(fixed_vector_bundle(), "ab cd")))
    assert "has no attention weights" in browser.text("attention-about")
    assert browser.say("places.map.children.length") == browser.say("places.heads.children.length") == 0
    assert browser.text("origin") == "No links: the decoder has no weights to say where it looked."


def test_a_copying_distribution_has_a_map_of_its_own(found: Inspection) -> None:
    copying = Layer(("1", "2"), (), tuple((0.25, 0.75) for _ in found.tokens))
    browser = Browser(page(replace(found, layers=(Layer((), (), ()), copying), alignment=Alignment((), "none: so"))))
    assert browser.text("head-name") == "Layer 2, copying"
    browser.do("places.map.all('svg')[0].fire('focus')")
    assert browser.text("map-said") == "for d: 25.0 % of 1"


@pytest.mark.parametrize("text", NASTY)
def test_texts_are_written_as_they_are(found: Inspection, text: str) -> None:
    browser = Browser(page(replace(found, source=text, target=text, notes=(text,))))
    assert browser.text("source") == browser.text("target") == text
    assert browser.text("notes").endswith(text)


def test_nothing_in_and_nothing_out_is_drawn() -> None:
    bundle = tiny_bundle(end_bonus=40.0)
    browser = Browser(page(inspect(bundle, "a")))
    assert browser.text("target") == "(nothing)"
    assert browser.say("places.tokens.children.length") == 1
