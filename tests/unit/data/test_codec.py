from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.core.errors import BundleError, ConfigError, InputError
from isthmus.data.codec import Codec, CodecConfig
from isthmus.data.example import Example
from isthmus.text.vocabulary import EOS, PAD, SEP
from tests.unit.data.toy import Doubling, characters, codec

EXAMPLE = Example(("ab", "c"), "def", "en", "fr", ("x", "yz"), prefix="d")


def test_the_source_is_tag_context_sources_end() -> None:
    made = codec(characters(["fr"]), CodecConfig(language_tag=True, context=1))
    tokenizer = made.source
    tag = tokenizer.vocabulary.language("fr")
    encode = tokenizer.encode
    assert made.source_ids(EXAMPLE) == [tag, *encode("yz"), SEP, *encode("ab"), SEP, *encode("c"), EOS]
    assert made.target_ids(EXAMPLE) == [*encode("def"), EOS]
    assert made.prefix_ids(EXAMPLE) == encode("d")


def test_by_default_the_source_is_the_source() -> None:
    made = codec()
    assert made.source_ids(Example(("ab",), "c")) == [*made.source.encode("ab"), EOS]
    assert made.prefix_ids(Example(("ab",), "c")) == []


@pytest.mark.parametrize("context", [0, 1, 2, 7])
def test_many_are_encoded_as_one(context: int) -> None:
    made = codec(characters(["fr"]), CodecConfig(language_tag=True, context=context))
    several = [EXAMPLE, Example(("",), "", target_language="fr"), Example(("a",), "b", target_language="fr")]
    assert made.pairs(several) == [(made.source_ids(e), made.target_ids(e)) for e in several]
    assert made.pairs([]) == []


def test_a_seed_samples() -> None:
    made = codec(Doubling(characters().config, characters().vocabulary))
    example = Example(("abcdefgh",), "abcdefgh")
    sampled = {tuple(made.source_ids(example, seed)) for seed in range(13)}
    assert len(sampled) > 7
    assert made.target_ids(example, 2**40 + 3) == made.target_ids(example, 2**40 + 3)
    assert all(ids[-1] == EOS and ids.count(EOS) == 1 for ids in sampled)


def test_text_stops_at_the_end() -> None:
    made = codec()
    assert made.text([*made.target.encode("abc"), PAD, EOS, *made.target.encode("d")]) == "abc"
    assert made.text([]) == ""


def test_limits_count_the_end() -> None:
    made = codec(config=CodecConfig(max_source_length=4, max_target_length=3))
    assert made.fits([1] * 4, [1] * 3)
    assert not made.fits([1] * 5, [1])
    assert not made.fits([1], [1] * 4)
    made.check_source_length([1] * 4)
    with pytest.raises(InputError, match="got: 5 pieces\n  where: line 3"):
        made.check_source_length([1] * 5, "line 3")


def test_a_missing_or_unknown_language_is_an_error() -> None:
    made = codec(characters(["fr"]), CodecConfig(language_tag=True))
    with pytest.raises(InputError, match="names no target language"):
        made.source_ids(Example(("a",), "b"))
    with pytest.raises(InputError, match="no such language"):
        made.source_ids(Example(("a",), "b", target_language="de"))


def test_saved_is_loaded(tmp_path: Path) -> None:
    joint = codec(config=CodecConfig(context=3))
    joint.save(tmp_path / "joint")
    loaded = Codec.load(tmp_path / "joint")
    assert loaded.joint
    assert loaded.config == joint.config
    assert sorted(path.name for path in (tmp_path / "joint").iterdir()) == ["codec.json", "joint.json"]
    separate = Codec(characters(), characters(["fr"]), CodecConfig())
    separate.save(tmp_path / "two")
    loaded = Codec.load(tmp_path / "two")
    assert not loaded.joint
    assert loaded.target_ids(EXAMPLE) == separate.target_ids(EXAMPLE)
    assert loaded.source_ids(EXAMPLE) == separate.source_ids(EXAMPLE)
    assert loaded.fingerprint() == separate.fingerprint() != joint.fingerprint()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"format": 2}, BundleError, "format 2"),
        ({"joint": None}, BundleError, "joint"),
        ({"config": {"contxt": 1}}, ConfigError, "did you mean `context`"),
    ],
)
def test_a_wrong_codec_file_is_an_error(
    tmp_path: Path, change: dict[str, object], kind: type[InputError], message: str
) -> None:
    codec().save(tmp_path)
    values = json.loads((tmp_path / "codec.json").read_text()) | change
    (tmp_path / "codec.json").write_text(
        json.dumps({name: value for name, value in values.items() if value is not None})
    )
    with pytest.raises(kind, match=message):
        Codec.load(tmp_path)


def test_a_missing_codec_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        Codec.load(tmp_path)


def test_several_sources_are_counted_and_the_first_is_ones_own() -> None:
    tokenizer = characters()
    codec = Codec(tokenizer, tokenizer, CodecConfig(sources=2, context=1))
    ids = codec.source_ids(Example(("ab", "c"), "", context=("b",)))
    sep = tokenizer.vocabulary.sep
    assert ids == [*tokenizer.encode("b"), sep, *tokenizer.encode("ab"), sep, *tokenizer.encode("c"), EOS]
    assert codec.own_pieces(ids) == tokenizer.encode("ab")
    for sources in (("ab",), ("a", "b", "c")):
        with pytest.raises(InputError, match="another number of sources") as caught:
            codec.pairs([Example(sources, "a")])
        assert caught.value.expected == "2 (`codec.sources`)"
