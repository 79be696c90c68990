"""How an example becomes ids, and ids become text: the same in training and in generation."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import Field

from isthmus.core.config import Config, parse
from isthmus.core.errors import BundleError, InputError
from isthmus.core.files import sha256, write_json
from isthmus.data.example import Example
from isthmus.text.build import load_tokenizer
from isthmus.text.tokenizer import Tokenizer
from isthmus.text.vocabulary import BOS, EOS

FORMAT = 1
"""Version of `codec.json`."""

_SEEDS = 1 << 31


class Frame(Config):
    """The ids around texts, where a model from elsewhere has other ones than ours.

    Attributes:
        before: before the pieces of a source.
        after: behind them.
        start: what the decoder reads before the first piece.
        first: what every target begins with.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = (EOS,)
    start: int = BOS
    first: tuple[int, ...] = ()


class CodecConfig(Config):
    """What is put around and before the pieces of a source.

    Attributes:
        language_tag: begin the source with `<2xx>`, the target language.
        context: how many context texts come before the source, each followed by `<sep>`; the last ones of an example.
        sources: how many sources every example has; `None` takes any number of them.
        max_source_length: the most pieces of a whole source, with its end.
        max_target_length: the most pieces of a target, with its end.
        frame: the ids around texts.
    """

    language_tag: bool = False
    context: int = Field(default=0, ge=0)
    sources: int | None = Field(default=None, ge=1)
    max_source_length: int = Field(default=1024, ge=2)
    max_target_length: int = Field(default=1024, ge=2)
    frame: Frame = Frame()


class Codec:
    """Turns examples into ids and ids into text.

    Nothing is cut off: a pair that is too long does not `fit` and is left out of training, and a source that is too long
    is an error in generation.

    Args:
        source: the tokenizer of the sources.
        target: the tokenizer of the targets; the same object for a joint vocabulary.
        config: what is put around the pieces.
    """

    def __init__(self, source: Tokenizer, target: Tokenizer, config: CodecConfig) -> None:
        self.source, self.target, self.config = source, target, config

    @property
    def joint(self) -> bool:
        """Whether one tokenizer serves both sides."""
        return self.source is self.target

    def source_ids(self, example: Example, seed: int | None = None) -> list[int]:
        """The ids of the sources: `[<2xx>] [context <sep>]... source [<sep> source]... EOS`.

        Args:
            example: the example; its target is not read.
            seed: chooses a random segmentation; `None` is the usual one.

        Raises:
            InputError: a language tag is asked for, and the example has no target language or one that is not in the
                vocabulary; or it has not as many sources as it should.
        """
        texts = self._texts(example)
        if seed is None:
            parts = [self.source.encode(text) for text in texts]
        else:
            parts = [self.source.sample(text, (seed + number) % _SEEDS) for number, text in enumerate(texts)]
        return self._assemble(example, parts)

    def target_ids(self, example: Example, seed: int | None = None) -> list[int]:
        """The ids of the target, with its end; a seed chooses a random segmentation."""
        ids = self.target.encode(example.target) if seed is None else self.target.sample(example.target, seed % _SEEDS)
        return self._target(ids)

    @property
    def first_ids(self) -> tuple[int, ...]:
        """What every target begins with: nothing, but in models from elsewhere."""
        return self.config.frame.first

    def own_pieces(self, ids: Sequence[int]) -> list[int]:
        """Of the ids of a source, those of its first source: without language tag, context, further sources and end."""
        return [ids[place] for place in self.own_places(ids)]

    def own_places(self, ids: Sequence[int]) -> list[int]:
        """The places of `own_pieces` in the ids of a source."""
        vocabulary = self.source.vocabulary
        divided = [0, *(place for place, one in enumerate(ids, 1) if one == vocabulary.sep), len(ids)]
        number = max(0, len(divided) - 1 - (self.config.sources or 1))
        silent = vocabulary.control - {vocabulary.unk} | {vocabulary.eos}
        return [place for place in range(divided[number], divided[number + 1]) if ids[place] not in silent]

    def prefix_ids(self, example: Example) -> list[int]:
        """The ids that the output must begin with, without its end."""
        return [*self.first_ids, *(self.target.encode(example.prefix) if example.prefix else [])]

    def pairs(self, examples: Sequence[Example]) -> list[tuple[list[int], list[int]]]:
        """`source_ids` and `target_ids` of many examples, in one call of each tokenizer."""
        texts = [self._texts(example) for example in examples]
        encoded = iter(self.source.encode_batch([text for several in texts for text in several]))
        targets = self.target.encode_batch([example.target for example in examples])
        return [
            (self._assemble(example, [next(encoded) for _ in several]), self._target(target))
            for example, several, target in zip(examples, texts, targets, strict=True)
        ]

    def fits(self, source: Sequence[int], target: Sequence[int]) -> bool:
        """Whether both sides keep to the limits of length."""
        return len(source) <= self.config.max_source_length and len(target) <= self.config.max_target_length

    def check_source_length(self, ids: Sequence[int], where: str = "the input") -> None:
        """Raise an InputError if a source to generate from is longer than the model may read."""
        if len(ids) > self.config.max_source_length:
            raise InputError(
                "an input is too long for the model",
                expected=f"at most {self.config.max_source_length} pieces with the end",
                got=f"{len(ids)} pieces",
                where=where,
                fix="divide the input into sentences or paragraphs",
            )

    def text(self, ids: Iterable[int]) -> str:
        """The text of generated ids, up to the first end; control pieces say nothing."""
        end = self.target.vocabulary.eos
        return self.target.decode(list(takewhile(lambda value: value != end, ids)))

    def save(self, folder: Path) -> None:
        """Write the tokenizers (`joint.*`, or `source.*` and `target.*`) and `codec.json` into a folder."""
        if self.joint:
            self.source.save(folder, "joint")
        else:
            self.source.save(folder, "source")
            self.target.save(folder, "target")
        values = {"format": FORMAT, "joint": self.joint, "config": self._described()}
        write_json(folder / "codec.json", values)

    @classmethod
    def load(cls, folder: Path) -> Codec:
        """Read what `save` wrote.

        Raises:
            BundleError: `codec.json` is missing, damaged or of a newer format.
            ConfigError: its configuration has an unknown or invalid field.
        """
        path = folder / "codec.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            version, joint, config = values["format"], values["joint"], values["config"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(
                "a codec cannot be read",
                expected="codec.json with format, joint and config",
                got=f"{type(error).__name__}: {error}",
                where=str(path),
                fix="use a whole folder that Isthmus wrote",
            ) from None
        if version != FORMAT:
            raise BundleError(
                "a codec is of another format",
                expected=f"format {FORMAT}",
                got=f"format {version}",
                where=str(path),
                fix="use the version of Isthmus that wrote it, or a newer one",
            )
        source = load_tokenizer(folder, "joint" if joint else "source")
        target = source if joint else load_tokenizer(folder, "target")
        return cls(source, target, parse(CodecConfig, config, str(path)))

    def fingerprint(self) -> str:
        """A SHA-256 of everything that decides which ids come out."""
        with tempfile.TemporaryDirectory() as name:
            self.save(Path(name))
            files = sorted(path for path in Path(name).rglob("*") if path.is_file())
            return " ".join(f"{path.name}:{sha256(path)}" for path in files)

    def _texts(self, example: Example) -> list[str]:
        if self.config.sources not in (None, len(example.sources)):
            raise InputError(
                "an example has another number of sources than the model reads",
                expected=f"{self.config.sources} (`codec.sources`)",
                got=str(len(example.sources)),
                where=repr(example.source[:60]),
                fix="give the columns source, source2, ... of every example, as many as there should be",
            )
        context = example.context[-self.config.context :] if self.config.context else ()
        return [*context, *example.sources]

    def _assemble(self, example: Example, parts: Sequence[list[int]]) -> list[int]:
        ids = [*self.config.frame.before, *(self._tag(example) if self.config.language_tag else [])]
        for number, part in enumerate(parts):
            if number:
                ids.append(self._sep())
            ids.extend(part)
        ids.extend(self.config.frame.after)
        return ids

    def _target(self, ids: Sequence[int]) -> list[int]:
        return [*self.first_ids, *ids, self.target.vocabulary.eos]

    def _described(self) -> dict[str, Any]:
        """The configuration; the usual frame is left out, so that older codecs and this one are written alike."""
        usual = self.config.frame == Frame()
        return self.config.model_dump(mode="json", exclude={"frame"} if usual else None)

    def _sep(self) -> int:
        sep = self.source.vocabulary.sep
        if sep < 0:
            raise InputError(
                "a model from elsewhere reads one text a source",
                expected="one source without context",
                got="several",
                where="the input",
                fix="join them into one text",
            )
        return sep

    def _tag(self, example: Example) -> list[int]:
        if not example.target_language:
            raise InputError(
                "an example names no target language",
                expected="a language, because the codec puts a language tag before the source",
                got="none",
                where=repr(example.source[:60]),
                fix="give the target language with the corpus, the column target_language, or --target-language",
            )
        return [self.source.vocabulary.language(example.target_language)]
