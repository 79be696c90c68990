"""A pipeline of the `tokenizers` library (`tokenizer.json`) as a tokenizer: for models from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

import tokenizers

from isthmus.core.errors import InputError
from isthmus.core.files import write_json, write_text
from isthmus.text.imported import ImportedConfig
from isthmus.text.tokenizer import Tokenizer, check_text, written
from isthmus.text.vocabulary import Vocabulary


@final
class LibraryTokenizer(Tokenizer):
    """What the library makes of a text, without what it puts around it and without control ids.

    Args:
        config: the special ids.
        pipeline: the text of `tokenizer.json`.
        size: how many ids the model has; those without a piece are control ids.

    Raises:
        InputError: the library cannot read the pipeline, or it has more pieces than the model ids.
    """

    def __init__(self, config: ImportedConfig, pipeline: str, size: int) -> None:
        self._pipeline = pipeline
        self._backend = backend_of(pipeline)
        known = self._backend.get_vocab_size(with_added_tokens=True)
        if known > size:
            raise InputError(
                "the tokenizer has pieces that the model does not know",
                expected=f"at most {size}",
                got=f"{known} pieces",
                where="tokenizer.json",
                fix="take the tokenizer that the model was trained with",
            )
        pieces = [self._backend.id_to_token(id) for id in range(size)]
        unused = {id for id, piece in enumerate(pieces) if piece is None}
        self._config = config.model_copy(update={"control": tuple(sorted({*config.control, *unused}))})
        named = tuple(f"<unused_{id}>" if piece is None else piece for id, piece in enumerate(pieces))
        self._vocabulary = Vocabulary(named, self._config.special)

    @property
    def config(self) -> ImportedConfig:
        """The special ids."""
        return self._config

    @property
    def vocabulary(self) -> Vocabulary:
        """Its pieces and their ids."""
        return self._vocabulary

    @property
    def pipeline(self) -> str:
        """The text of `tokenizer.json`."""
        return self._pipeline

    @property
    def lossless(self) -> bool:
        """False: what the library keeps of a text, nobody promises."""
        return False

    def encode(self, text: str) -> list[int]:
        """The library's ids; a control id that a text spells is unknown."""
        check_text(text)
        return self._checked(self._backend.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of every text, in one call."""
        for text in texts:
            check_text(text)
        found = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [self._checked(one.ids) for one in found]

    def decode(self, ids: Sequence[int]) -> str:
        """The library's text of the ids that are no control ids."""
        silent = self._vocabulary.control | {self._vocabulary.eos}
        wrong = next((id for id in ids if not 0 <= id < self._vocabulary.size), None)
        if wrong is not None:
            raise InputError("no such id", expected=f"0 to {self._vocabulary.size - 1}", got=str(wrong))
        return self._backend.decode([id for id in ids if id not in silent], skip_special_tokens=False)

    def save(self, folder: Path, name: str) -> None:
        """Write `{name}.tokenizer.json`, which the library reads as it is, and `{name}.json`."""
        write_text(folder / f"{name}.tokenizer.json", self._pipeline)
        write_json(folder / f"{name}.json", {**written(self), "size": self._vocabulary.size})

    def _checked(self, ids: Sequence[int]) -> list[int]:
        unk, silent = self._vocabulary.unk, self._vocabulary.control | {self._vocabulary.eos}
        return [unk if id in silent else id for id in ids]


def backend_of(pipeline: str) -> tokenizers.Tokenizer:
    """The library's tokenizer of a pipeline, which pads and cuts nothing and finds no control pieces in texts.

    Raises:
        InputError: the library cannot read it.
    """
    try:
        backend = tokenizers.Tokenizer.from_str(pipeline)
    except Exception as error:  # noqa: BLE001  the library raises nothing more special
        raise InputError(
            "not a pipeline of the tokenizers library", expected="the text of a tokenizer.json", got=str(error)
        ) from None
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True
    return backend
