"""`isthmus inspect`: one page, whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import isthmus
from tests.unit.cli.calling import called, tree
from tests.unit.generate.tiny_bundle import tiny_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("inspect") / "run" / "best"
    tiny_bundle().save(place)
    return place.parent


def data(page: Path) -> dict[str, object]:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found is not None
    values: dict[str, object] = json.loads(found[1])
    return values


def test_a_page_is_written(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "new" / "page.html"
    done = called(monkeypatch, "inspect", model, "ab cd", "--out", out, "--threads", 1)
    assert (done.code, done.out) == (0, "")
    (output,) = isthmus.load(model).generate(["ab cd"])
    assert done.err == f"ab cd → {output}\nthe page is in {out}\n"
    assert data(out)["target"] == output


def test_a_given_output_is_looked_at(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "inspect", model, "ab cd", "--target", "hg fe", "--out", tmp_path / "a.html")
    assert done.code == 0
    assert (data(tmp_path / "a.html")["target"], data(tmp_path / "a.html")["given"]) == ("hg fe", True)
    done = called(monkeypatch, "inspect", model, "ab cd", "--target", "hg fe", "--out", tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("model", ""), ("an inspection needs a text",)),
        (("model", "ab " * 50), ("an input is too long for the model", "at most 97")),
        (("model", "ab", "--target", "ab " * 50), ("a target is too long for the model", "at most 97")),
        (("model", "ab\udce9"), ("not valid UTF-8", "text 1 of the command line, character 3")),
        (("model", "ab", "--target", "\udce9"), ("not valid UTF-8", "text 2 of the command line")),
        (("model", "ab", "--device", "abacus"), ("cannot be used", "abacus")),
        (("gone", "ab"), ("this is not a bundle", "nothing there")),
    ],
    ids=lambda item: (
        None if isinstance(item, tuple) and len(item) == 1 else " ".join(item)[:20].encode("ascii", "replace").decode()
    ),
)
def test_one_clear_error(
    arguments: tuple[str, ...], said: tuple[str, ...], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    named = [str(model) if one == "model" else one for one in arguments]
    before = tree(model.parent)
    done = called(monkeypatch, "inspect", *named, "--out", "page.html")
    assert (done.code, done.out) == (2, "")
    assert done.err.count("error: ") == 1
    assert "Traceback" not in done.err
    for words in said:
        assert words in done.err
    assert tree(model.parent) == before


def test_a_folder_is_no_page(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "inspect", model, "ab", "--out", tmp_path)
    assert done.code == 2
    assert "the output must be a file" in done.err
    assert list(tmp_path.iterdir()) == []
