from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from isthmus.core.errors import InputError
from isthmus.data.codec import CodecConfig
from isthmus.data.doctor import Diagnosis, Finding, examine
from isthmus.data.doctor.alignment import shifts
from isthmus.data.doctor.sides import Sides
from isthmus.data.pairs import Pairs
from tests.unit.data.toy import codec, tsv, write

WORDS = """the les, of des, and une, that dans, with pour, which qui, this cette, have avec, from plus, they être, would fait,
there mais, their nous, what tout, about ont, could leurs, other sans, into aussi, these deux"""
TARGET_OF = dict(pair.strip().split(" ") for pair in WORDS.split(","))
ENGLISH = list(TARGET_OF)

Rows = list[tuple[str, str]]


def clean(count: int, seed: int = 0) -> Rows:
    """Pairs that look like a translation, no two alike: word for word, with a number."""
    choose = random.Random(seed)
    rows = []
    for number in range(count):
        words = choose.choices(ENGLISH, k=choose.randint(2, 17))
        rows.append(
            (" ".join(words) + f" {seed}.{number}", " ".join(TARGET_OF[w] for w in words) + f" {seed}.{number}")
        )
    return rows


def diagnose(
    folder: Path, train: Sequence[tuple[str, str]], dev: Rows | None = None, test: Rows | None = None
) -> Diagnosis:
    dev_pairs, test_pairs = (
        tsv(folder / f"{name}.tsv", rows) if rows else None for name, rows in (("dev", dev), ("test", test))
    )
    return examine(tsv(folder / "train.tsv", train), dev_pairs, test_pairs)


def rules(diagnosis: Diagnosis) -> dict[tuple[str, str], str]:
    return {(finding.part, finding.rule): finding.severity for finding in diagnosis.findings}


def the(diagnosis: Diagnosis, rule: str) -> Finding:
    (finding,) = [finding for finding in diagnosis.findings if finding.rule == rule]
    return finding


def test_a_clean_corpus_has_no_finding(tmp_path: Path) -> None:
    diagnosis = diagnose(tmp_path, clean(2003), clean(211, 1), clean(101, 2))
    assert diagnosis.findings == ()
    assert not diagnosis.fatal
    assert diagnosis.report() == ["train: 2,003 pairs, dev: 211 pairs, test: 101 pairs", "nothing wrong was found"]


def test_a_clean_corpus_in_two_files_has_no_finding(tmp_path: Path) -> None:
    rows = clean(997)
    source = write(tmp_path / "a.en.gz", "".join(f"{row[0]}\n" for row in rows))
    target = write(tmp_path / "a.fr", "".join(f"{row[1]}\n" for row in rows))
    assert examine(Pairs(source, target)).findings == ()


BROKEN: list[tuple[str, bytes, int, str, str]] = [
    ("invalid-utf8", b"caf\xe9\tb\n", 1, "fatal", "byte 4: byte 0xe9 (invalid continuation byte)"),
    ("nul", b"a\0b\tc\n", 1, "fatal", "byte 2: byte 0x00"),
    ("columns", b"a\tb\tc\na\n", 2, "fatal", "3 columns: 'a\\tb\\tc'"),
    ("crlf", b"a\tb\r\nc\td\r\n", 2, "note", "a line ends in \\r\\n"),
]


@pytest.mark.parametrize(("rule", "line", "count", "severity", "text"), BROKEN, ids=[row[0] for row in BROKEN])
def test_broken_lines_are_counted_and_placed(
    tmp_path: Path, rule: str, line: bytes, count: int, severity: str, text: str
) -> None:
    good = "".join(f"{source}\t{target}\n" for source, target in clean(11)).encode()
    path = write(tmp_path / "train.tsv", good + line + good.replace(b"0.", b"7."))
    diagnosis = examine(Pairs(path))
    finding = the(diagnosis, rule)
    assert (finding.part, finding.severity, finding.count) == ("train", severity, count)
    assert (finding.examples[0].file, finding.examples[0].line) == (str(path), 12)
    assert finding.examples[0].text == text
    assert finding.remedy
    assert bool(diagnosis.fatal) == (severity == "fatal")


def test_a_byte_order_mark_is_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "train.tsv", "\ufeffa\tb\n")
    assert rules(examine(Pairs(path))) == {("train", "byte-order-mark"): "note"}


@pytest.mark.parametrize("line", ["{", '{"source": "a"}'])
def test_broken_json_lines_are_found(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "train.jsonl", f'{{"source": "a", "target": "b"}}\n{line}\n')
    finding = the(examine(Pairs(path)), "json" if line == "{" else "field")
    assert (finding.severity, finding.examples[0].line) == ("fatal", 2)


def test_different_line_counts_are_fatal(tmp_path: Path) -> None:
    source = write(tmp_path / "a.en", "one\ntwo\nthree\nfour\n")
    finding = the(examine(Pairs(source, write(tmp_path / "a.fr", "un\ndeux\n"))), "line-counts")
    assert finding.severity == "fatal"
    assert f"line 3 of {source} has no partner" in finding.message


def test_an_empty_corpus_is_fatal(tmp_path: Path) -> None:
    assert rules(examine(Pairs(write(tmp_path / "a.tsv", "")))) == {("train", "empty-corpus"): "fatal"}


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        examine(Pairs(tmp_path / "missing.tsv"))


def test_a_damaged_gzip_file_is_fatal(tmp_path: Path) -> None:
    data = gzip.compress("".join(f"{a}\t{b}\n" for a, b in clean(5003)).encode())
    (tmp_path / "a.tsv.gz").write_bytes(data[: len(data) * 3 // 4])
    diagnosis = examine(Pairs(tmp_path / "a.tsv.gz"))
    assert rules(diagnosis) == {("train", "unreadable"): "fatal"}
    assert 1000 < diagnosis.pairs["train"] < 5003


@pytest.mark.parametrize(("count", "severity"), [(1, "note"), (23, "warning"), (1999, "fatal")])
def test_empty_sides(tmp_path: Path, count: int, severity: str) -> None:
    rows = [
        (source, " ") if number < count else (source, target) for number, (source, target) in enumerate(clean(2003))
    ]
    finding = the(diagnose(tmp_path, rows), "empty-side")
    assert (finding.severity, finding.count) == (severity, count)


@pytest.mark.parametrize(("count", "severity"), [(3, "note"), (211, "warning")])
def test_copies(tmp_path: Path, count: int, severity: str) -> None:
    rows = [
        (source, source) if number < count else (source, target) for number, (source, target) in enumerate(clean(2003))
    ]
    diagnosis = diagnose(tmp_path, rows)
    assert rules(diagnosis) == {("train", "copies"): severity}
    assert the(diagnosis, "copies").count == count


@pytest.mark.parametrize(("count", "severity"), [(7, "note"), (701, "warning")])
def test_duplicates(tmp_path: Path, count: int, severity: str) -> None:
    rows = clean(2003)
    diagnosis = diagnose(tmp_path, [*rows, *rows[:count]])
    assert rules(diagnosis) == {("train", "duplicates"): severity}
    finding = the(diagnosis, "duplicates")
    assert finding.count == count
    assert [place.line for place in finding.examples] == [2004, 2005, 2006]
    assert finding.examples[0].text == "\t".join(rows[0])


@pytest.mark.parametrize(("count", "severity"), [(1, "note"), (7, "warning"), (211, "fatal")])
def test_pairs_of_the_dev_set_in_the_training_set(tmp_path: Path, count: int, severity: str) -> None:
    dev = clean(211, 1)
    diagnosis = diagnose(tmp_path, [*clean(1009), *dev[:count]], dev)
    assert rules(diagnosis) == {("dev", "overlap-pair"): severity}
    assert the(diagnosis, "overlap-pair").count == count


@pytest.mark.parametrize(("count", "severity"), [(7, "note"), (53, "warning")])
def test_sources_of_the_test_set_in_the_training_set(tmp_path: Path, count: int, severity: str) -> None:
    test = clean(211, 1)
    diagnosis = diagnose(
        tmp_path, [*clean(1009), *((source, f"{target} !") for source, target in test[:count])], None, test
    )
    assert rules(diagnosis) == {("test", "overlap-source"): severity}
    assert the(diagnosis, "overlap-source").examples[0].text == "\t".join(test[0])


def test_several_references_are_noted_where_it_is_measured(tmp_path: Path) -> None:
    test = clean(101, 1)
    several = [*test, *((source, f"{target} !") for source, target in test[:13])]
    diagnosis = diagnose(tmp_path, clean(1009), None, several)
    assert rules(diagnosis) == {("test", "several-references"): "note"}
    assert the(diagnosis, "several-references").count == 13
    assert diagnose(tmp_path, several).findings == ()


@pytest.mark.parametrize(("count", "severity"), [(3, "note"), (53, "warning")])
def test_unusual_ratios_of_length(tmp_path: Path, count: int, severity: str) -> None:
    rows = clean(2003)
    rows[101 : 101 + count] = [(source, target + " et encore" * 40) for source, target in rows[101 : 101 + count]]
    finding = the(diagnose(tmp_path, rows), "length-ratio")
    assert (finding.severity, finding.count, finding.examples[0].line) == (severity, count, 102)


@pytest.mark.parametrize(("count", "severity"), [(1, "note"), (29, "warning"), (601, "fatal")])
def test_exchanged_sides(tmp_path: Path, count: int, severity: str) -> None:
    rows = clean(2003)
    rows[7 : 7 + count] = [(target, source) for source, target in rows[7 : 7 + count]]
    diagnosis = diagnose(tmp_path, rows)
    assert rules(diagnosis) == {("train", "exchanged-sides"): severity}
    assert the(diagnosis, "exchanged-sides").count == pytest.approx(count, rel=0.03)
    assert the(diagnosis, "exchanged-sides").examples[0].line == 8


def test_a_dev_set_in_the_other_direction_is_fatal(tmp_path: Path) -> None:
    dev = [(target, source) for source, target in clean(211, 1)]
    diagnosis = diagnose(tmp_path, clean(2003), dev)
    assert rules(diagnosis) == {("dev", "exchanged-sides"): "fatal"}
    assert "exchange the two files" in the(diagnosis, "exchanged-sides").remedy


def test_sides_in_one_language_are_not_called_exchanged(tmp_path: Path) -> None:
    sentences = [source for source, _ in clean(4001)]
    assert diagnose(tmp_path, list(zip(sentences[:2000], sentences[2001:], strict=True))).findings == ()


def test_no_text_speaks_for_itself() -> None:
    choose = random.Random(0)
    texts = ["".join(choose.choices("abcdefghij", k=13)) for _ in range(606)]
    sides = Sides()
    sides.learn(texts[:101], texts[303:404], 0)
    sides.learn(texts[101:303], texts[404:], 101)
    looks = sides.judge().look(texts[:303], 0)
    assert abs((looks > 0).mean() - 0.5) < 0.1
    assert np.allclose(looks[101:], sides.judge().look(texts[101:303], 101))


@pytest.mark.parametrize("offset", [1, -1, 3])
def test_a_shift_is_found_with_its_first_line(tmp_path: Path, offset: int) -> None:
    rows = clean(4001)
    sources, targets = [row[0] for row in rows], [row[1] for row in rows]
    (targets if offset > 0 else sources)[1234:1234] = ["autre"] * abs(offset)
    diagnosis = diagnose(tmp_path, list(zip(sources, targets, strict=False)))
    finding = the(diagnosis, "shifted-alignment")
    assert finding.severity == "fatal"
    (found,) = shifts(
        np.array([len(text) for text in sources[:4001]]), np.array([len(text) for text in targets[:4001]])
    )
    assert found.offset == offset
    assert abs(found.start - 1234) < 20
    assert found.start + found.rows == 4001
    assert f"from about line {found.start + 1:,} to 4,001" in finding.message


def test_a_shift_that_ends_again_is_found(tmp_path: Path) -> None:
    rows = clean(40_009)
    targets = [row[1] for row in rows]
    del targets[20_000]
    targets.insert(20_700, "autre")
    finding = the(
        diagnose(tmp_path, [(row[0], target) for row, target in zip(rows, targets, strict=True)]), "shifted-alignment"
    )
    assert finding.severity == "warning"
    assert finding.count == pytest.approx(700, abs=40)
    assert "1 line further back" in finding.message


def test_no_shift_where_lengths_say_nothing() -> None:
    choose = np.random.default_rng(0)
    for source in (choose.integers(1, 90, 4001), np.sort(choose.integers(1, 90, 4001)), np.full(4001, 7)):
        assert shifts(source, source) == []
        assert shifts(source, choose.integers(1, 90, 4001)) == []
        assert shifts(source[:150], source[1:151]) == []


def test_unknown_pieces(tmp_path: Path) -> None:
    rows = [("abc", "abc"), ("é", "abc"), *[("abc", f"abcd {'xyz' * n}") for n in range(3, 300)]]
    pairs = tsv(tmp_path / "a.tsv", rows)
    finding = the(examine(pairs, codec=codec()), "unknown-pieces")
    assert (finding.severity, finding.count, finding.examples[0].line) == ("note", 1, 2)
    assert the(examine(tsv(tmp_path / "b.tsv", [("été", "ça")]), codec=codec()), "unknown-pieces").severity == "fatal"


@pytest.mark.parametrize(("limit", "severity"), [(90, "note"), (80, "warning"), (7, "fatal")])
def test_pairs_that_are_too_long(tmp_path: Path, limit: int, severity: str) -> None:
    pairs = tsv(
        tmp_path / "a.tsv",
        [("x" * 89, "y"), ("x", "y" * 90), *[("abcdefg", f"{'y' * (n // 3)}") for n in range(3, 260)]],
    )
    finding = the(
        examine(pairs, codec=codec(config=CodecConfig(max_source_length=limit, max_target_length=limit))), "too-long"
    )
    assert finding.severity == severity


def test_a_fitting_codec_has_no_finding(tmp_path: Path) -> None:
    pairs = tsv(tmp_path / "a.tsv", [("abcdefg", "h" * n) for n in range(3, 20)])
    assert examine(pairs, codec=codec()).findings == ()


def test_findings_come_by_severity_and_can_be_written(tmp_path: Path) -> None:
    rows = clean(2003)
    rows = [*rows, rows[0], *[(source, "") for source, _ in clean(17, 3)]]
    diagnosis = diagnose(tmp_path, rows, [(target, source) for source, target in clean(211, 1)])
    assert [finding.severity for finding in diagnosis.findings] == ["fatal", "warning", "note"]
    report = diagnosis.report()
    assert report[0] == "train: 2,021 pairs, dev: 211 pairs"
    assert report[1].startswith("fatal    dev: 211 of 211 pairs (100 %) probably have their sides exchanged")
    assert report[-1] == "1 fatal, 1 warning, 1 note"
    written = json.loads(json.dumps(diagnosis.to_json()))
    assert written["fatal"] is True
    assert written["pairs"] == {"train": 2021, "dev": 211}
    assert [finding["rule"] for finding in written["findings"]] == ["exchanged-sides", "empty-side", "duplicates"]
    assert written["findings"][2]["examples"][0]["line"] == 2004


def test_a_report_shows_no_control_characters(tmp_path: Path) -> None:
    report = diagnose(tmp_path, [("a\x1b[31m\x85b", "a\x1b[31m\x85b")]).report()
    assert all(line.isprintable() for line in report)


@pytest.mark.data
@pytest.mark.parametrize(
    ("train", "rules_allowed"),
    [
        ("sigmorphon2021-g2p/medium/fre_train.tsv", set()),
        ("scan/length.train.tsv.gz", set()),
        ("webquestions/trainmodel.tsv", set()),
        ("multi30k/train.en.gz,multi30k/train.de.gz", {"length-ratio", "duplicates"}),
        ("chatterbot-corpus/english.tsv", {"empty-side", "copies"}),
    ],
)
def test_real_corpora_raise_no_false_alarm(
    data_root: Path, train: str, rules_allowed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data_root)
    diagnosis = examine(Pairs.parse(train))
    assert {finding.rule for finding in diagnosis.findings} == rules_allowed
    assert not diagnosis.fatal
