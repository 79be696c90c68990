"""How to generate: options under the names that users of Hugging Face transformers know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from isthmus.core.config import Config, parse
from isthmus.core.errors import InputError

SAMPLING = ("temperature", "top_k", "top_p", "min_p")
SEARCHING = ("num_beams", "early_stopping")


class GenerationOptions(Config):
    """Options of a generation; what is not given keeps its default.

    Beam search unless `do_sample`; greedy search is one beam.

    Attributes:
        max_length: the most pieces to produce, without start and end; by default 2 x source + 10. (Hugging Face counts
            start and end too.)
        max_new_tokens: another name of `max_length`.
        min_length: the output does not end before so many pieces.
        num_beams: beams of the search.
        num_return_sequences: how many outputs of each input to give: the best of the beam, or so many samples.
        do_sample: draw from the model's probabilities instead of searching.
        temperature: of sampling: under 1 more cautious, above 1 more surprising.
        top_k: sample among the k most probable pieces; 0 is all.
        top_p: sample among the most probable pieces that make up this probability.
        min_p: sample among pieces at least this many times as probable as the best.
        length_penalty: outputs are compared by score / length ** length_penalty; above 0 favours long ones.
        early_stopping: when a sentence is done: True as soon as `num_beams` outputs ended, False when no live beam looks
            better, "never" when none can become better up to the maximum length.
        seed: of sampling; the same request with the same seed gives the same output, alone or in any batch. By default
            another one each time; the answer says which.
        batch: how many sentences to search at a time; long ones count for more (see `batches.batches`).
        split_sentences: translate sentence by sentence and join again; "auto" does so for models trained on sentences.
        attention: also say where the decoder looked.
    """

    max_length: int | None = Field(default=None, ge=1)
    max_new_tokens: int | None = Field(default=None, ge=1)
    min_length: int = Field(default=0, ge=0)
    num_beams: int = Field(default=5, ge=1)
    num_return_sequences: int = Field(default=1, ge=1)
    do_sample: bool = False
    temperature: float = Field(default=1.0, gt=0)
    top_k: int = Field(default=50, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    min_p: float = Field(default=0.0, ge=0, le=1)
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    seed: int | None = Field(default=None, ge=0)
    batch: int = Field(default=64, ge=1)
    split_sentences: bool | Literal["auto"] = "auto"
    attention: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "generation options") -> GenerationOptions:
        """Options from plain values.

        Raises:
            InputError: an option is unknown (the nearest name is given), has a bad value, or contradicts another.
        """
        return parse(cls, values, where)

    def updated(self, given: Mapping[str, Any], where: str = "generation options") -> GenerationOptions:
        """These options with some given ones on top; the given ones win over what they would contradict.

        Raises:
            InputError: as `of`.
        """
        values = self.model_dump(exclude_unset=True)
        sample = given.get("do_sample", self.do_sample)
        dropped = set(SEARCHING if sample else SAMPLING)
        if {"max_length", "max_new_tokens"} & given.keys():
            dropped |= {"max_length", "max_new_tokens"}
        return self.of({name: value for name, value in values.items() if name not in dropped} | dict(given), where)

    @property
    def beams(self) -> int:
        """How many beams the search has: one when sampling."""
        return 1 if self.do_sample else self.num_beams

    @property
    def limit(self) -> int | None:
        """The maximum length, under whichever name it was given."""
        return self.max_length if self.max_new_tokens is None else self.max_new_tokens

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.max_length is not None and self.max_new_tokens is not None:
            raise _contradiction(
                "max_length", self.max_length, "max_new_tokens", self.max_new_tokens, "give one of them"
            )
        if self.limit is not None and self.min_length > self.limit:
            raise _contradiction("min_length", self.min_length, "max_length", self.limit, "lower `min_length`")
        values: dict[str, Any] = self.model_dump()
        idle = SEARCHING if self.do_sample else SAMPLING
        for name in idle:
            default = 1 if name == "num_beams" else type(self).model_fields[name].default
            if name in self.model_fields_set and values[name] != default:
                fix = f"leave out `{name}`" + ("" if self.do_sample else ", or set `do_sample` to true")
                raise _contradiction(name, values[name], "do_sample", self.do_sample, fix)
        if not self.do_sample and self.num_return_sequences > self.num_beams:
            fix = f"set `num_beams` to at least {self.num_return_sequences}"
            raise _contradiction("num_return_sequences", self.num_return_sequences, "num_beams", self.num_beams, fix)
        return self


def _contradiction(one: str, value: object, other: str, other_value: object, fix: str) -> InputError:
    return InputError(
        f"`{one}` and `{other}` contradict each other",
        expected="options that can hold together",
        got=f"{one}={value!r} with {other}={other_value!r}",
        where="generation options",
        fix=fix,
    )
