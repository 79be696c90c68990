"""From a recipe's files to tokenizers, batches and a dev set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from isthmus.core.errors import ConfigError
from isthmus.core.files import new_folder, write_json
from isthmus.core.team import ALONE, Team
from isthmus.data.batches import BatchConfig, Batches
from isthmus.data.cache import Encoded, encode
from isthmus.data.codec import Codec
from isthmus.data.corpora import Corpus
from isthmus.data.example import Example
from isthmus.data.filters import FilterConfig
from isthmus.data.pairs import Pairs, read
from isthmus.data.shards import Manifest
from isthmus.data.split import Part, hold_out
from isthmus.generate.profile import Pair, Profile
from isthmus.text.build import train_tokenizer
from isthmus.text.metrics import group
from isthmus.text.tokenizer import SentencePieceConfig, Tokenizer
from isthmus.train.lanes import Lanes
from isthmus.workflows.recipe import Recipe

_MEASURED, _MEASURED_PIECES, _BLOCK = 10_000, 500_000, 100
"""How many pairs, of how many pieces, are looked at to say what targets look like; so many pairs stand together."""


@dataclass(frozen=True, slots=True)
class Corpora:
    """What a recipe names, found.

    Attributes:
        train: the training corpora, without what is held out; of a corpus in shards, those of the first lane.
        dev: the development set, of its own or held out.
        test: the test set, or `None`.
        manifest: of a corpus in shards.
        lanes: the shards of each lane.
    """

    train: tuple[Corpus, ...]
    dev: Corpus
    test: Corpus | None
    manifest: Manifest | None = None
    lanes: tuple[tuple[Corpus, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that training and judging read.

    Attributes:
        codec: text to ids and back.
        encoded: the training corpora as ids: one, or the lanes of a corpus in shards, `None` where another process has one.
        encoded_dev: the development set as ids.
        train: training batches.
        dev: development batches.
        profile: what the training targets look like, as far as this process reads them.
        pairs: how many training pairs there are; of a corpus in shards, before filters.
        identity: what tells this training data from any other.
    """

    codec: Codec
    encoded: tuple[Encoded | None, ...]
    encoded_dev: Encoded
    train: Batches | Lanes
    dev: Batches
    profile: Profile
    pairs: int
    identity: str

    @property
    def own(self) -> tuple[Encoded, ...]:
        """What this process reads."""
        return tuple(one for one in self.encoded if one is not None)


def corpora(recipe: Recipe, base: Path, run: Path) -> Corpora:
    """Find the corpora of a recipe; without a dev set, hold a part of the first out and note it in `run`.

    Raises:
        DataError: a corpus cannot be read, or is too small to hold anything out.
        ConfigError: a part is to be held out of a half, or there are fewer shards than batches of an update.
    """
    data = recipe.data
    test = None if data.test is None else data.corpus(data.test, base)
    if data.shards is not None and data.dev is not None:
        manifest = Manifest.load(data.folder(base) / data.shards)
        lanes = lanes_of(recipe, manifest)
        return Corpora(lanes[0], data.corpus(data.dev, base), test, manifest, lanes)
    train = [data.corpus(files, base) for files in data.train]
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


def lanes_of(recipe: Recipe, manifest: Manifest) -> tuple[tuple[Corpus, ...], ...]:
    """The shards of each lane; every batch of an update has a lane of its own.

    Raises:
        ConfigError: there are fewer shards than batches of an update.
    """
    languages, lanes = (recipe.data.source_language, recipe.data.target_language), recipe.train.accumulate
    return tuple(
        tuple(Corpus(Pairs(file, None, (), *languages)) for file in manifest.lane(number, lanes))
        for number in range(lanes)
    )


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


def prepare(recipe: Recipe, found: Corpora, codec: Codec, run: Path, team: Team = ALONE) -> Prepared:
    """Encode the corpora (once, into `data.cache` or `run/cache`) and lay out their batches.

    Args:
        recipe: says how.
        found: the corpora.
        codec: makes the ids.
        run: the folder of the run.
        team: of a corpus in shards, only the lanes that this process computes are encoded.

    Raises:
        InputError: a shard of this process is missing.
        DataError: a corpus cannot be read, has nothing left, or a shard is another one than the manifest says.
    """
    cache = run / "cache" if recipe.data.cache is None else Path(recipe.data.cache).expanduser()
    filters, text = recipe.data.filters, _sampled(codec)
    dev = encode((found.dev,), codec, FilterConfig(), run / "cache")
    if found.manifest is None:
        whole = encode(found.train, codec, filters, cache, text)
        train, judging = _laid_out(recipe, codec, (whole,), dev)
        return Prepared(codec, (whole,), dev, train, judging, profile_of(whole, codec), len(whole), whole.folder.name)
    lanes: list[Encoded | None] = [None] * len(found.lanes)
    for number, lane in enumerate(found.lanes):
        if team.mine(number):
            for corpus in lane:
                found.manifest.check(corpus.pairs.source)
            lanes[number] = encode(lane, codec, filters, cache, text)
    train, judging = _laid_out(recipe, codec, lanes, dev)
    made_by = json.dumps([found.manifest.fingerprint, codec.fingerprint(), filters.model_dump()], sort_keys=True)
    identity = hashlib.sha256(made_by.encode()).hexdigest()[:20]
    profile = profile_of(next(one for one in lanes if one is not None), codec)
    return Prepared(codec, tuple(lanes), dev, train, judging, profile, found.manifest.pairs, identity)


def laid_out_again(prepared: Prepared, recipe: Recipe) -> Prepared:
    """The same corpora in the batches of another recipe."""
    train, dev = _laid_out(recipe, prepared.codec, prepared.encoded, prepared.encoded_dev)
    return replace(prepared, train=train, dev=dev)


def longest_side(recipe: Recipe, prepared: Prepared) -> int:
    """The most pieces that a side of a training pair can have, in any segmentation and any lane."""
    limits, longest = prepared.codec.config, max(one.longest for one in prepared.own)
    if isinstance(prepared.train, Batches) and not _sampled(prepared.codec):
        return longest
    tokens, positions = recipe.data.batch.tokens, recipe.model.embedding.positions.limit
    most = [max(limits.max_source_length, limits.max_target_length)]
    if isinstance(prepared.train, Batches):
        most.append(2 * longest)
    return min([*most, *(limit for limit in (tokens, positions) if isinstance(limit, int))])


def _laid_out(
    recipe: Recipe, codec: Codec, encoded: Sequence[Encoded | None], dev: Encoded
) -> tuple[Batches | Lanes, Batches]:
    """Batches of the training and of the development pairs; a size that is not known yet is taken to be the usual one."""
    batch, seed, sample = recipe.data.batch, recipe.data.seed, _sampled(codec)
    if batch.tokens == "auto":
        usual = BatchConfig.model_fields["tokens"].default
        longest = max(one.longest for one in (dev, *encoded) if one is not None)
        batch = batch.model_copy(update={"tokens": max(usual, longest)})
    each = [None if one is None else Batches(one, codec, batch, seed, sample) for one in encoded]
    judging = Batches(dev, codec, batch, seed)
    if recipe.data.shards is None and each[0] is not None:
        return each[0], judging
    return Lanes(each), judging


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
