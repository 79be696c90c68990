"""`isthmus generate`: what is read, and how answers are written."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import isthmus
from isthmus.cli.options import one_line
from isthmus.generate.answer import GenerationWarning
from tests.unit.cli.calling import Done, called
from tests.unit.generate.tiny_bundle import tiny_bundle

LINES = ["ab cd", "", "c", "efg ab", "bad"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("generate") / "model"
    tiny_bundle().save(place)
    return place


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained on sentences."""
    place = tmp_path_factory.mktemp("generate") / "sentences"
    tiny_bundle({"unit": "sentence", "source_language": "en", "target_language": "fr"}).save(place)
    return place


@pytest.fixture(scope="module")
def expected(model: Path) -> list[str]:
    outputs = isthmus.load(model).generate(LINES)
    assert len({*outputs}) == len(LINES)
    return outputs


def texts(done: Done) -> list[str]:
    """The texts of a list of outputs."""
    return [line.split("\t")[2] for line in done.out.splitlines()]


def test_one_line_in_one_line_out(model: Path, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", model, stdin="\n".join(LINES).encode())
    assert (done.code, done.err) == (0, "")
    assert done.out == "".join(f"{line}\n" for line in expected)
    assert done.out.splitlines()[1] == ""


def test_texts_files_and_standard_input_are_read_alike(
    model: Path, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, packed, output = tmp_path / "in.txt", tmp_path / "in.txt.gz", tmp_path / "new" / "out.txt"
    plain.write_bytes("\ufeff".encode() + "\r\n".join(LINES).encode() + b"\r\n")
    packed.write_bytes(gzip.compress("\n".join(LINES).encode()))
    wanted = "".join(f"{line}\n" for line in expected)
    assert called(monkeypatch, "generate", model, *LINES).out == wanted
    assert called(monkeypatch, "generate", model, "--input", plain).out == wanted
    assert called(monkeypatch, "generate", model, "--input", packed).out == wanted
    assert called(monkeypatch, "generate", model, stdin=plain.read_bytes()).out == wanted
    assert called(monkeypatch, "generate", model, "--input", plain, "--output", output).out == ""
    assert output.read_text(encoding="utf-8") == wanted


def test_no_input_is_no_output(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(monkeypatch, "generate", model).out == ""
    assert called(monkeypatch, "generate", model, stdin=b"\n").out == "\n"


def test_a_text_of_several_lines_is_one_line_of_output(sentences: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", sentences, "Ab cd.\n\nEfg.", "h")
    assert done.out.count("\n") == 2
    assert isthmus.load(sentences).generate("Ab cd.\n\nEfg.")[0].count("\n") == 2
    one = called(monkeypatch, "generate", sentences, "fa", "--n-best", "2")
    assert "!!aaaaaaaaa aH" in one.out
    assert one.out.count("\n") == 2


def test_a_document_keeps_its_lines(sentences: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Ab cd. Efg!\n\n  H a.\n"
    done = called(monkeypatch, "generate", sentences, "--document", stdin=text.encode())
    assert done.code == 0
    with pytest.warns(GenerationWarning):
        assert done.out == isthmus.load(sentences).generate(text)[0]
    assert "the output is empty; it was decoded again" in done.err
    assert [bool(line.strip()) for line in done.out.split("\n")] == [True, False, True, False]
    assert called(monkeypatch, "generate", model, "--document", stdin=text.encode()).out.count("\n") == 3
    both = called(monkeypatch, "generate", sentences, "--document", "Ab.", "Cd.\nAb.")
    assert both.out.count("\n") == 3


def test_the_best_are_listed_with_their_scores(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", model, *LINES, "--n-best", "3", "--beam", "4")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [row[0] for row in rows] == [str(number) for number in range(1, 6) for _ in range(3)]
    answers = isthmus.load(model).answers(LINES, isthmus.load(model).options.updated({"num_beams": 4}))
    best = next(row for row in rows if row[0] == "4")
    assert float(best[1]) == pytest.approx(answers[3].hypotheses[0].score, abs=1e-3)
    assert best[2] == answers[3].text
    assert {tuple(row[1:]) for row in rows if row[0] == "2"} == {("0.0000", "")}


def test_json_lines_say_everything(model: Path, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", model, *LINES, "--json", "--n-best", "2")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [one["text"] for one in found] == expected
    assert [one["input"] for one in found] == LINES
    assert [one["index"] for one in found] == [1, 2, 3, 4, 5]
    assert {len(one["outputs"]) for one in found} == {2}
    assert found[0]["outputs"][0]["text"] == expected[0]
    assert found[0]["outputs"][0]["normalised"] >= found[0]["outputs"][1]["normalised"]
    assert found[0]["outputs"][0]["stop"] == "end"
    assert (found[0]["warnings"], found[0]["seed"]) == ([], None)


def test_each_answer_is_written_as_soon_as_it_is_there(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.generate.translator.WINDOW", 2)
    done = called(monkeypatch, "generate", model, "--json", "ab", "cd", "ab " * 60)
    assert done.code == 2
    assert [json.loads(line)["index"] for line in done.out.splitlines()] == [1, 2]


def test_what_is_typed_is_answered_line_by_line(
    model: Path, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = called(monkeypatch, "generate", model, stdin="\n".join(LINES).encode(), typed=True)
    assert done.out == "".join(f"{line}\n" for line in expected)
    assert done.err == "reading from the keyboard: a line an input; Ctrl-D ends\n"


def test_samples_follow_the_seed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("generate", model, "ab cd", "--sample", "--temperature", "1.5", "--top-k", "0", "--top-p", "0.9")
    one, same, other = (texts(called(monkeypatch, *command, "--n-best", "3", "--seed", seed)) for seed in (3, 3, 4))
    assert one == same
    assert one != other
    assert len({*one}) > 1
    unseeded = called(monkeypatch, *command, "--json")
    seed = json.loads(unseeded.out)["seed"]
    again = texts(called(monkeypatch, *command, "--n-best", "1", "--seed", seed))
    assert again == [
        one_line(json.loads(unseeded.out)["text"])
    ]  # a sample may hold line breaks; a list has one line each


def test_options_reach_the_search(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = isthmus.load(model)
    given = ("generate", model, *LINES, "--max-length", "3", "--beam", "2", "--batch", "2", "--threads", "1")
    done = called(monkeypatch, *given, "--precision", "float32", "--device", "cpu")
    with pytest.warns(GenerationWarning):
        assert done.out.splitlines() == machine.generate(LINES, max_length=3, num_beams=2)


def test_a_warning_comes_once_an_input(sentences: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", sentences, "h", "H c. Da gh. H c. Da gh.", "--max-length", "1", "--json")
    lines = done.err.splitlines()
    assert done.code == 0
    assert [line.split(":")[1] for line in lines] == [" input 1", " input 2"]
    assert lines[1].endswith("(and 3 more)")
    said = json.loads(done.out.splitlines()[1])["warnings"]
    assert sum("reached its maximum length" in one for one in said) == 2
    assert sum("is empty; it was decoded again" in one for one in said) == 2


def test_json_says_what_else_was_asked_for(sentences: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Abc def. Hgf!"
    command = ("generate", sentences, text, "--json", "--alignment", "--alternatives", "2", "--attention")
    found = json.loads(called(monkeypatch, *command).out)
    (output,) = found["outputs"]
    assert [text[one["start"] : one["end"]] for one in found["segments"]] == ["Abc def.", "Hgf!"]
    assert found["seconds"] > 0
    for part in output["parts"]:
        assert len(part["pieces"]) == len(part["ids"])
        assert len(part["token_scores"]) == len(part["attention"]) == len(part["alternatives"])
        assert part["score"] == pytest.approx(sum(part["token_scores"]), abs=1e-2)
        assert {len(place) for place in part["alternatives"]} == {2}
        assert {*part["alternatives"][0][0]} == {"id", "piece", "score"}
    for pair in output["alignment"]:
        assert text[pair["source"]["start"] : pair["source"]["end"]] == pair["source"]["text"]
    plain = json.loads(called(monkeypatch, *command[:4]).out)["outputs"][0]
    assert "alignment" not in plain
    assert not {"attention", "alternatives"} & {*plain["parts"][0]}


def test_guards_are_on_and_can_be_switched_off(sentences: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("generate", sentences, "Efg!", "--json")
    on, off = (json.loads(called(monkeypatch, *command, *more).out) for more in ((), ("--no-guards",)))
    assert on["outputs"][0]["parts"][0]["repair"]["faults"] == ["empty"]
    assert on["text"]
    assert (off["text"], off["warnings"]) == ("", [])


@pytest.mark.parametrize("more", [(), ("--sample", "--seed", "3")])
def test_a_stream_is_what_is_generated(
    model: Path, sentences: Path, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("generate", model, *LINES, *more)
    document = ("generate", sentences, "--document", "  Ab cd. Efg!\n\n  H a,\nfa.", *more)
    for command in (lines, document):
        beam = () if more else ("--beam", "1")
        streamed = called(monkeypatch, *command, "--stream")
        assert streamed.code == 0
        assert streamed.out == called(monkeypatch, *command, *beam, "--no-guards").out


@pytest.mark.parametrize("wrong", [("--json",), ("--n-best", "2"), ("--beam", "3")])
def test_what_does_not_go_with_a_stream_is_an_error(
    model: Path, wrong: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = called(monkeypatch, "generate", model, "ab", "--stream", *wrong)
    assert (done.code, done.out) == (2, "")
    assert f"--stream and {wrong[0]}" in done.err


def test_a_stream_says_at_the_end_what_is_wrong(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "generate", model, "gg hh ee", "--stream", "--max-length", "2")
    assert done.err.startswith("warning: input 1: the output reached its maximum length")
