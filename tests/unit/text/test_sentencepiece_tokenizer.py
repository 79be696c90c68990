"""Lossless, without control ids from text, seeded, deterministic."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.core.errors import BundleError, ConfigError, DataError, InputError
from isthmus.text.build import load_tokenizer, train_tokenizer
from isthmus.text.sentencepiece_model import arranged, piece_names
from isthmus.text.sentencepiece_tokenizer import SentencePieceTokenizer
from isthmus.text.tokenizer import SentencePieceConfig
from isthmus.text.vocabulary import EOS, UNK

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "reads",
    "writes",
    "small",
    "old",
    "house",
    "river",
    "and",
    "in",
    "on",
    "with",
    "never",
    "always",
    "où",
    "élève",
    "garçon",
    "grüßt",
    "你好",
    "世界",
]


def corpus(lines: int = 211, seed: int = 3) -> list[str]:
    choose = random.Random(seed)
    return [" ".join(choose.choices(WORDS, k=choose.randint(2, 11))) + choose.choice(".?!") for _ in range(lines)]


def _trained(config: SentencePieceConfig) -> SentencePieceTokenizer:
    tokenizer = train_tokenizer(config, corpus())
    assert isinstance(tokenizer, SentencePieceTokenizer)
    return tokenizer


@pytest.fixture(scope="session")
def unigram() -> SentencePieceTokenizer:
    return _trained(SentencePieceConfig(vocabulary_size=440, sampling=0.2, languages=("en",), user_pieces=("<name>",)))


@pytest.fixture(scope="session")
def bpe() -> SentencePieceTokenizer:
    return _trained(
        SentencePieceConfig(model="bpe", vocabulary_size=440, sampling=0.3, languages=("en",), user_pieces=("<name>",))
    )


@pytest.fixture(params=["unigram", "bpe"])
def lossless(request: pytest.FixtureRequest) -> SentencePieceTokenizer:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, SentencePieceTokenizer)
    return found


SPELLED = [
    "<pad>",
    "<unk>",
    "<s>",
    "</s>",
    "<sep>",
    "<mask>",
    "<2en>",
    "<sentinel_7>",
    "<spare_0>",
    "<pad_0>",
    "<0x41>",
]
ODD = [
    "\0",
    "▁",
    "▅",
    "⁇",
    " ",
    "  ",
    "\n",
    "\t",
    "\r\n",
    "\u3000",
    "e\u0301",
    "👩‍👩‍👧",
    "\ufffd",
    "\ufeff",
    "<name>",
    "\U000f0000",
]
texts = st.lists(st.one_of(st.text(max_size=7), st.sampled_from([*SPELLED, *ODD, *WORDS])), max_size=9).map("".join)
together = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)


@together
@given(text=texts, seed=st.integers(-(2**70), 2**70))
def test_every_text_comes_back(lossless: SentencePieceTokenizer, text: str, seed: int) -> None:
    never = lossless.vocabulary.control | {EOS}
    for ids in (lossless.encode(text), lossless.sample(text, seed)):
        assert lossless.decode(ids) == text
        assert not never & set(ids)


@together
@given(batch=st.lists(texts, max_size=5))
def test_a_batch_is_its_texts(lossless: SentencePieceTokenizer, batch: list[str]) -> None:
    assert lossless.encode_batch(batch) == [lossless.encode(text) for text in batch]


@pytest.mark.parametrize(
    "text", [*SPELLED, *ODD, "", "a▁b", "▁", " ▁ ▁▁", "a\0b", "   lead and trail  ", "x" * 100_003]
)
def test_odd_texts_come_back(lossless: SentencePieceTokenizer, text: str) -> None:
    assert lossless.decode(lossless.encode(text)) == text
    assert lossless.decode(lossless.sample(text, 5)) == text


def test_the_mark_of_a_space_is_spelled_by_its_own_bytes(lossless: SentencePieceTokenizer) -> None:
    assert lossless.pieces(lossless.encode("cat▁\U000f0000"))[-7:] == [
        *(f"<0x{byte:02X}>" for byte in "▁".encode()),
        *(f"<0x{byte:02X}>" for byte in "\U000f0000".encode()),
    ]


@given(before=st.text(max_size=3), after=st.text(max_size=3), code=st.integers(0xD800, 0xDFFF))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_lone_surrogates_are_refused(lossless: SentencePieceTokenizer, before: str, after: str, code: int) -> None:
    text = f"{before}{chr(code)}{after}"
    for use in (lossless.encode, lambda bad: lossless.sample(bad, 1), lambda bad: lossless.encode_batch(["a", bad])):
        with pytest.raises(InputError, match=rf"U\+{code:04X} at character {len(before)}"):
            use(text)


def test_a_user_piece_is_one_id_and_is_never_cut(lossless: SentencePieceTokenizer) -> None:
    id = lossless.vocabulary.id("<name>")
    assert lossless.encode("the <name><name> cat").count(id) == 2
    assert all(lossless.sample("the <name><name> cat" * 3, seed).count(id) == 6 for seed in range(500))


def test_decode_is_silent_about_control_and_marks_the_unknown(lossless: SentencePieceTokenizer) -> None:
    silent = sorted(lossless.vocabulary.control - {UNK} | {EOS})
    ids = lossless.encode("the old cat")
    assert lossless.decode([*silent, *ids[:2], *silent, *ids[2:], *silent]) == "the old cat"
    assert lossless.decode([UNK]) == "\ufffd"
    assert lossless.decode([]) == ""
    assert lossless.decode([lossless.vocabulary.id("<0xE2>")]) == "\ufffd"
    for wrong in (-1, lossless.vocabulary.size):
        with pytest.raises(InputError, match=f"got: {wrong}"):
            lossless.decode([*ids, wrong])


def test_without_byte_fallback_the_unknown_is_unknown() -> None:
    tokenizer = train_tokenizer(SentencePieceConfig(vocabulary_size=208, byte_fallback=False), corpus())
    assert not tokenizer.lossless
    assert UNK in tokenizer.encode("the ☃ cat")
    assert tokenizer.decode(tokenizer.encode("the ☃ cat")) == "the \ufffd cat"
    assert UNK in tokenizer.encode("the▁cat")


# Sampling


def test_sampling_is_a_function_of_text_and_seed_alone(lossless: SentencePieceTokenizer) -> None:
    pairs = [(text, seed) for text in corpus(13) for seed in (0, 1, 2**32 - 1, 2**63 + 5)]
    first = {pair: lossless.sample(*pair) for pair in pairs}
    shuffled = random.Random(1).sample(pairs, len(pairs))
    assert {pair: lossless.sample(*pair) for pair in shuffled} == first


def test_sampling_is_the_same_from_several_threads(lossless: SentencePieceTokenizer) -> None:
    pairs = [(text, seed) for text in corpus(11) for seed in range(23)]
    expected = [lossless.sample(*pair) for pair in pairs]
    wrong: list[tuple[str, int]] = []

    def work(offset: int) -> None:
        for turn in range(5 * len(pairs)):
            index = (turn * 7 + offset) % len(pairs)
            if lossless.sample(*pairs[index]) != expected[index]:
                wrong.append(pairs[index])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 101, 197)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def test_seeds_differ_and_the_best_segmentation_does_not_depend_on_them(lossless: SentencePieceTokenizer) -> None:
    text = "the small dog never writes with the old cat."
    best = lossless.encode(text)
    assert len({tuple(lossless.sample(text, seed)) for seed in range(40)}) > 5
    assert lossless.encode(text) == best


def test_no_sampling_is_encode() -> None:
    tokenizer = train_tokenizer(SentencePieceConfig(vocabulary_size=440), corpus())
    assert all(tokenizer.sample(text, seed) == tokenizer.encode(text) for text in corpus(7) for seed in range(5))


def test_unigram_draws_follow_the_probabilities() -> None:
    """Two segmentations of one word: their shares are softmax(alpha x score), within five standard deviations."""
    import sentencepiece

    config = SentencePieceConfig(vocabulary_size=408, sampling=0.5, byte_fallback=True)
    tokenizer = train_tokenizer(config, ["ab"] * 11 + ["a b"] * 7)
    model = sentencepiece.SentencePieceProcessor(model_proto=tokenizer._bytes)  # type: ignore[attr-defined]
    names = [name for name in tokenizer.vocabulary.pieces[138 + 256 :] if name in {"▁ab", "▁a", "▁", "ab", "a", "b"}]
    score = {name: model.get_score(model.piece_to_id(name)) for name in names}
    cuts = [("▁ab",), ("▁a", "b"), ("▁", "ab"), ("▁", "a", "b")]
    weight = {cut: 2.718281828 ** (0.5 * sum(score[p] for p in cut)) for cut in cuts if set(cut) <= set(names)}
    draws = 4000
    seen = [tuple(tokenizer.pieces(tokenizer.sample("ab", seed))) for seed in range(draws)]
    assert len(weight) > 1
    assert set(seen) <= set(weight)
    for cut, value in weight.items():
        share = value / sum(weight.values())
        assert abs(seen.count(cut) / draws - share) < 5 * (share * (1 - share) / draws) ** 0.5 + 1e-9


# Training


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_training_is_deterministic_exact_in_size_and_silent(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    config = SentencePieceConfig.model_validate({"model": model, "vocabulary_size": 440})
    first, second = train_tokenizer(config, corpus()), train_tokenizer(config, iter(corpus()))
    assert first.vocabulary.size == 440
    assert first.vocabulary == second.vocabulary
    assert first._bytes == second._bytes  # type: ignore[attr-defined]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("model", ["unigram", "bpe"])
@pytest.mark.parametrize(
    "lines", [["a"], ["hello world"], ["你好我是谁"], ["▅"], ["a\0b", "c\nd"], [*SPELLED], ["ab " * 5003], ["<name>"]]
)
def test_a_small_corpus_gives_a_small_vocabulary(model: str, lines: list[str]) -> None:
    values = {"model": model, "vocabulary_size": 32_000, "user_pieces": ("<name>",), "sampling": 0.1}
    tokenizer = train_tokenizer(SentencePieceConfig.model_validate(values), lines)
    assert tokenizer.vocabulary.size < 480
    assert tokenizer.vocabulary.size % 8 == 0
    assert all(tokenizer.decode(tokenizer.encode(text)) == text for text in [*lines, *SPELLED, "new: é"])


@pytest.mark.parametrize("lines", [[], [""], ["", " \n", "\t"]])
def test_an_empty_corpus_is_an_error(lines: list[str]) -> None:
    with pytest.raises(DataError, match="without text"):
        train_tokenizer(SentencePieceConfig(), lines)


def test_a_vocabulary_too_small_for_its_characters_says_what_is_enough() -> None:
    characters = [" ".join(chr(0x4E00 + n) for n in range(101))]
    with pytest.raises(ConfigError, match="vocabulary_size = 496 or more"):
        train_tokenizer(SentencePieceConfig(vocabulary_size=400, character_coverage=1.0), characters)
    enough = SentencePieceConfig(vocabulary_size=496, character_coverage=1.0)
    assert train_tokenizer(enough, characters).vocabulary.size == 496
    with pytest.raises(ConfigError, match="496 or more"):
        train_tokenizer(SentencePieceConfig(vocabulary_size=488, character_coverage=1.0), characters)


def test_an_error_of_the_corpus_is_not_hidden() -> None:
    def broken() -> Iterator[str]:
        yield "a text"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        train_tokenizer(SentencePieceConfig(), broken())


# Files


def test_saved_and_loaded_is_the_same(lossless: SentencePieceTokenizer, tmp_path: Path) -> None:
    lossless.save(tmp_path, "source")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.json", "source.model"]
    again = load_tokenizer(tmp_path, "source")
    assert (again.config, again.vocabulary, again.lossless) == (lossless.config, lossless.vocabulary, True)
    assert [again.encode(text) for text in corpus(17)] == [lossless.encode(text) for text in corpus(17)]
    assert [again.sample(text, 7) for text in corpus(17)] == [lossless.sample(text, 7) for text in corpus(17)]


def test_damaged_files_are_refused(unigram: SentencePieceTokenizer, tmp_path: Path) -> None:
    unigram.save(tmp_path, "t")
    model = (tmp_path / "t.model").read_bytes()
    for damaged in (
        b"",
        b"hello",
        model[:1003],
        model[17:],
        bytes(reversed(model)),
        arranged(model, (), (), ["<sep>"]),
    ):
        (tmp_path / "t.model").write_bytes(damaged)
        with pytest.raises(BundleError, match=r"t\.json"):
            load_tokenizer(tmp_path, "t")
    (tmp_path / "t.model").unlink()
    with pytest.raises(BundleError, match=r"t\.model"):
        load_tokenizer(tmp_path, "t")


def test_the_model_file_has_the_pieces_in_the_order_of_ids(unigram: SentencePieceTokenizer, tmp_path: Path) -> None:
    import sentencepiece

    unigram.save(tmp_path, "t")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "t.model"))
    names = [processor.id_to_piece(id) for id in range(processor.get_piece_size())]
    assert tuple(names) == unigram.vocabulary.pieces
    assert tuple(piece_names((tmp_path / "t.model").read_bytes())) == unigram.vocabulary.pieces
    assert processor.encode("the old cat") == unigram.encode("the old cat")
