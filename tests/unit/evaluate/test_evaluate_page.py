"""The page is one file that needs nothing else, whatever the texts say."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from isthmus.evaluate.inspect import inspect
from isthmus.evaluate.inspection import Inspection
from isthmus.evaluate.page import embedded, page
from tests.unit.generate.tiny_bundle import tiny_bundle

NASTY = [
    "</script><script>alert(1)</script>",
    "</SCRIPT >",
    "<!-- <script>",
    "]]> & &lt; &quot; ' \" \\ \\u003c",
    "\u2028\u2029\x00\x1b\ufeff\u202e\u0301",
    "🏴‍☠️ 👩‍👩‍👧 𐍈 𝔘 é",
    "{{data}} {{style}} {{nothing}}",
]


@pytest.fixture(scope="module")
def plain() -> Inspection:
    return inspect(tiny_bundle(), "ab cd", "dc ba")


class Parser(HTMLParser):
    """Collects the tags and what stands in scripts, as a browser finds their ends."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def parsed(text: str) -> Parser:
    parser = Parser()
    parser.feed(text)
    parser.close()
    return parser


@pytest.mark.parametrize("text", NASTY)
def test_what_is_in_the_page_is_what_was_put_there(plain: Inspection, text: str) -> None:
    one = replace(
        plain, source=text, target=text, found=text, notes=(text,), source_pieces=(text, *plain.source_pieces[1:])
    )
    found, before = parsed(page(one)), parsed(page(plain))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in before.tags]
    assert json.loads(found.scripts[0]) == json.loads(json.dumps(one.to_json()))
    assert found.scripts[1] == before.scripts[1]


@pytest.mark.parametrize("text", NASTY)
def test_nothing_in_the_data_can_end_a_script(text: str) -> None:
    inside = embedded({text: [text]})
    assert not re.search("[<>&\u2028\u2029]", inside)
    assert json.loads(inside) == {text: [text]}


def test_a_number_that_json_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        embedded([float("nan")])


def test_the_page_asks_for_nothing_from_elsewhere(plain: Inspection) -> None:
    text = page(plain)
    found = parsed(text)
    policy = next(attributes["content"] for tag, attributes in found.tags if attributes.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    assert not [
        1 for tag, attributes in found.tags if tag in ("link", "img", "iframe", "object") or "src" in attributes
    ]
    assert all(str(attributes["href"]).startswith("#") for tag, attributes in found.tags if tag == "a")
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_the_script_writes_texts_as_texts_and_finds_every_place_that_it_fills() -> None:
    script = files("isthmus.evaluate.page").joinpath("inspection.js").read_text(encoding="utf-8")
    template = files("isthmus.evaluate.page").joinpath("inspection.html").read_text(encoding="utf-8")
    for unsafe in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "DOMParser",
        "srcdoc",
    ):
        assert unsafe not in script
    ids = set(re.findall(r' id="([\w-]+)"', template))
    assert set(re.findall(r'at\("([\w-]+)"\)', script)) <= ids
    assert set(re.findall(r'href="#([\w-]+)"', template)) <= ids
