"""From a recipe's files to tokenizers, batches and a dev set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from isthmus.core.errors import ConfigError
from isthmus.core.files import new_folder, write_json
from isthmus.data.batches import BatchConfig, Batches
from isthmus.data.cache import Encoded, encode
from isthmus.data.codec import Codec
from isthmus.data.corpora import Corpus
from isthmus.data.example import Example
from isthmus.data.filters import FilterConfig
from isthmus.data.pairs import read
from isthmus.data.split import Part, hold_out
from isthmus.generate.profile import Pair, Profile
from isthmus.text.build import train_tokenizer
from isthmus.text.metrics import group
from isthmus.text.tokenizer import SentencePieceConfig, Tokenizer
from isthmus.workflows.recipe import Recipe

_MEASURED, _MEASURED_PIECES, _BLOCK = 10_000, 500_000, 100
"""How many pairs, of how many pieces, are looked at to say what targets look like; so many pairs stand together."""


@dataclass(frozen=True, slots=True)
class Corpora:
    """What a recipe names, found.

    Attributes:
        train: the training corpora, without what is held out.
        dev: the development set, of its own or held out.
        test: the test set, or `None`.
    """

    train: tuple[Corpus, ...]
    dev: Corpus
    test: Corpus | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that training and judging read.

    Attributes:
        codec: text to ids and back.
        encoded: the training corpora as ids.
        encoded_dev: the development set as ids.
        train: training batches.
        dev: development batches.
        profile: what the training targets look like.
    """

    codec: Codec
    encoded: Encoded
    encoded_dev: Encoded
    train: Batches
    dev: Batches
    profile: Profile


def corpora(recipe: Recipe, base: Path, run: Path) -> Corpora:
    """Find the corpora of a recipe; without a dev set, hold a part of the first out and note it in `run`.

    Raises:
        DataError: a corpus cannot be read, or is too small to hold anything out.
        ConfigError: a part is to be held out of a half.
    """
    data = recipe.data
    train = [data.corpus(files, base) for files in data.train]
    test = None if data.test is None else data.corpus(data.test, base)
    if data.dev is not None:
        return Corpora(tuple(train), data.corpus(data.dev, base), test)
    if any(files.half for files in data.train):
        raise ConfigError(
            "half of a corpus cannot be divided once more",
            expected="data.dev",
            got="none, and `half` in data.train",
            where="data.dev",
            fix="name a development set, or the other half as one",
        )
    note = run / "held-out.json"
    if note.is_file():
        part = Part(**json.loads(note.read_text(encoding="utf-8")))
    else:
        part = hold_out(read(train[0].pairs))
        write_json(note, asdict(part))
    return Corpora(tuple(replace(corpus, part=part.rest) for corpus in train), replace(train[0], part=part), test)


def codec_of(recipe: Recipe, train: Sequence[Corpus], run: Path, given: Codec | None = None) -> Codec:
    """Learn the vocabularies from the training corpora, once a run: they are kept in `run/codec`.

    Args:
        recipe: says how.
        train: the training corpora.
        run: the folder of the run.
        given: the codec of a bundle that training starts from.

    Raises:
        DataError: the corpora have no text.
    """
    folder = run / "codec"
    if folder.is_dir():
        return Codec.load(folder)
    codec = _learned(recipe, train) if given is None else given
    with new_folder(folder) as temporary:
        codec.save(temporary)
    return codec


def _learned(recipe: Recipe, train: Sequence[Corpus]) -> Codec:
    config = recipe.tokenizer
    source = config.source
    if config.joint:
        tokenizer = train_tokenizer(source, _texts(train, source=True, target=True))
        return Codec(tokenizer, tokenizer, recipe.codec)
    return Codec(
        train_tokenizer(source, _texts(train, source=True, target=False)),
        train_tokenizer(config.target or source, _texts(train, source=False, target=True)),
        recipe.codec,
    )


def _texts(train: Sequence[Corpus], source: bool, target: bool) -> Iterator[str]:
    for corpus in train:
        for example in corpus.examples():
            if source:
                yield from example.sources
                yield from example.context
            if target:
                yield example.target


def prepare(recipe: Recipe, found: Corpora, codec: Codec, run: Path) -> Prepared:
    """Encode the corpora (once, into `run/cache`) and lay out their batches."""
    encoded = encode(found.train, codec, recipe.data.filters, run / "cache", keep_text=_sampled(codec))
    dev = encode((found.dev,), codec, FilterConfig(), run / "cache")
    train, judging = _laid_out(recipe, codec, encoded, dev)
    return Prepared(codec, encoded, dev, train, judging, profile_of(encoded, codec))


def laid_out_again(prepared: Prepared, recipe: Recipe) -> Prepared:
    """The same corpora in the batches of another recipe."""
    train, dev = _laid_out(recipe, prepared.codec, prepared.encoded, prepared.encoded_dev)
    return replace(prepared, train=train, dev=dev)


def longest_side(recipe: Recipe, prepared: Prepared) -> int:
    """The most pieces that a side of a training pair can have, in any segmentation that is shown."""
    encoded, limits = prepared.encoded, prepared.codec.config
    if not _sampled(prepared.codec):
        return encoded.longest
    tokens, positions = recipe.data.batch.tokens, recipe.model.embedding.positions.limit
    most = [2 * encoded.longest, max(limits.max_source_length, limits.max_target_length)]
    return min([*most, *(limit for limit in (tokens, positions) if isinstance(limit, int))])


def _laid_out(recipe: Recipe, codec: Codec, encoded: Encoded, dev: Encoded) -> tuple[Batches, Batches]:
    """Batches of the training and of the development pairs; a size that is not known yet is taken to be the usual one."""
    batch, seed = recipe.data.batch, recipe.data.seed
    if batch.tokens == "auto":
        usual = BatchConfig.model_fields["tokens"].default
        batch = batch.model_copy(update={"tokens": max(usual, encoded.longest, dev.longest)})
    return Batches(encoded, codec, batch, seed, sample=_sampled(codec)), Batches(dev, codec, batch, seed)


def profile_of(encoded: Encoded, codec: Codec) -> Profile:
    """What the targets of a corpus look like, by blocks of pairs from all over it.

    Args:
        encoded: the corpus.
        codec: ids to text.
    """
    count = len(encoded)
    wanted = min(_MEASURED, max(_BLOCK, _MEASURED_PIECES * count // max(1, sum(encoded.pieces))))
    step = max(_BLOCK, count * _BLOCK // wanted)
    pairs: list[Pair] = []
    for start in range(0, count, step):
        block = encoded.block(start, min(count, start + _BLOCK))
        for row in range(len(block.source)):
            source = codec.own_pieces(block.source.row(row).tolist())
            target = block.target.row(row).tolist()[:-1]
            pairs.append(Pair(source, target, codec.source.decode(source), codec.target.decode(target)))
    return Profile.of(pairs)


def _sampled(codec: Codec) -> bool:
    return _samples(codec.source) or _samples(codec.target)


def _samples(tokenizer: Tokenizer) -> bool:
    config = tokenizer.config
    return isinstance(config, SentencePieceConfig) and config.sampling > 0


@dataclass(frozen=True, slots=True)
class Questions:
    """Different sources with all their references.

    Attributes:
        examples: one a source (with its context and languages).
        references: the targets that the set gives for each.
    """

    examples: tuple[Example, ...]
    references: tuple[tuple[str, ...], ...]

    def first(self, count: int) -> Questions:
        """The first so many."""
        return Questions(self.examples[:count], self.references[:count])


def questions(examples: Iterable[Example]) -> Questions:
    """Group a set by its sources: equal sources (and contexts) become one question with several references."""
    found = list(examples)
    keys = [json.dumps([*example.sources, *example.context], ensure_ascii=False) for example in found]
    order, references = group(keys, [example.target for example in found])
    by_key = dict(zip(reversed(keys), reversed(found), strict=True))
    return Questions(tuple(by_key[key] for key in order), tuple(tuple(each) for each in references))
