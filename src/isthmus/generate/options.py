"""How to generate: options under the names that users of Hugging Face transformers know.

They stand in groups, one for each question that they answer; a new option goes into the group where one would look for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from isthmus.core.config import Config, parse
from isthmus.core.errors import InputError

SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "without_replacement",
)
"""What means something only where pieces are drawn."""

SEARCHING = (
    "num_beams",
    "num_beam_groups",
    "diversity_penalty",
    "early_stopping",
    "coverage_penalty",
    "force_words",
    "force_words_ids",
)
"""What means something only where they are not."""

DIALLED = (*SAMPLING, "do_sample", "num_beam_groups", "diversity_penalty", "mbr")
"""What `diversity` decides."""

TWINS = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
"""Two names of one thing."""

Id = Annotated[int, Field(ge=0)]
Ids = tuple[Id, ...]
Phrase = Annotated[Ids, Field(min_length=1)]
Text = Annotated[str, Field(min_length=1)]


class LengthOptions(Config):
    """How long an output may and must be, in pieces without start and end. (Hugging Face's `max_length` counts these too.)

    Attributes:
        max_length: the most pieces to produce; by default 2 x source + 10.
        max_new_tokens: another name of `max_length`.
        max_length_ratio: at most so many pieces for each piece of the source; with `max_length` too, the smaller holds.
        min_length: the output does not end before so many pieces.
        min_new_tokens: another name of `min_length`.
        min_length_ratio: at least so many pieces for each piece of the source; with `min_length` too, the larger holds.
    """

    max_length: int | None = Field(default=None, ge=1)
    max_new_tokens: int | None = Field(default=None, ge=1)
    max_length_ratio: float | None = Field(default=None, gt=0)
    min_length: int = Field(default=0, ge=0)
    min_new_tokens: int | None = Field(default=None, ge=0)
    min_length_ratio: float = Field(default=0.0, ge=0)

    @property
    def limit(self) -> int | None:
        """The maximum length, under whichever name it was given."""
        return self.max_length if self.max_new_tokens is None else self.max_new_tokens

    @property
    def floor(self) -> int:
        """The minimum length, under whichever name it was given."""
        return self.min_length if self.min_new_tokens is None else self.min_new_tokens

    def longest(self, source: int) -> int | None:
        """The most pieces for a source of so many, at least one; None if nothing was said."""
        relative = None if self.max_length_ratio is None else max(1, math.floor(_exact(self.max_length_ratio * source)))
        return min((most for most in (self.limit, relative) if most is not None), default=None)

    def shortest(self, source: int) -> int:
        """The fewest pieces for a source of so many."""
        return max(self.floor, math.ceil(_exact(self.min_length_ratio * source)))

    @model_validator(mode="after")
    def _lengths_hold_together(self) -> Self:
        for one, other in TWINS:
            if {one, other} <= self.model_dump(exclude_defaults=True).keys():
                raise _contradiction(self, one, other, "give one of them")
        if self.limit is not None and self.floor > self.limit:
            one = "min_length" if self.min_new_tokens is None else "min_new_tokens"
            other = "max_length" if self.max_new_tokens is None else "max_new_tokens"
            raise _contradiction(self, one, other, f"lower `{one}`")
        if self.max_length_ratio is not None and self.min_length_ratio > self.max_length_ratio:
            raise _contradiction(self, "min_length_ratio", "max_length_ratio", "lower `min_length_ratio`")
        return self


class SearchOptions(Config):
    """How to look for the best outputs: beam search; greedy search is one beam.

    Attributes:
        num_beams: beams of the search.
        num_return_sequences: how many outputs of each input to give: the best of the beam, or so many samples.
        length_penalty: outputs are compared by score / length ** length_penalty; 0 is the plain sum, which favours short ones,
            and the larger, the longer.
        early_stopping: when a sentence is done: True as soon as `num_beams` outputs ended, False when no live beam looks
            better, "never" when none can become better up to the maximum length.
        num_beam_groups: diverse beam search: so many groups of beams, each of which keeps away from what those before it
            choose. Of several outputs, each group gives its best before one gives its second.
        diversity_penalty: what a piece costs for each beam of an earlier group that chooses it at the same place.
        coverage_penalty: outputs that have not read all of the source lose so many times the logarithm of what they have
            read of each piece (0.2 is usual); 0 is off.
    """

    num_beams: int = Field(default=5, ge=1)
    num_return_sequences: int = Field(default=1, ge=1)
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    num_beam_groups: int = Field(default=1, ge=1)
    diversity_penalty: float = Field(default=0.0, ge=0)
    coverage_penalty: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _groups_hold_together(self) -> Self:
        if self.num_beams % self.num_beam_groups > 0:
            fix = f"set `num_beams` to a multiple of {self.num_beam_groups}"
            raise _contradiction(self, "num_beam_groups", "num_beams", fix)
        if (self.num_beam_groups > 1) != (self.diversity_penalty > 0):
            raise _contradiction(self, "num_beam_groups", "diversity_penalty", "give both, or neither")
        return self


class SamplingOptions(Config):
    """How to draw from the model's probabilities; what cuts off acts in this order, after the temperature.

    Attributes:
        do_sample: draw from the model's probabilities instead of searching.
        temperature: under 1 more cautious, above 1 more surprising.
        top_k: sample among the k most probable pieces; 0 is all.
        top_p: sample among the most probable pieces that make up this probability.
        min_p: sample among pieces at least this many times as probable as the best.
        typical_p: sample among the pieces about as surprising as is to be expected that make up this probability.
        epsilon_cutoff: sample among pieces of at least this probability; 0 is all. (3e-4 to 9e-4 are usual.)
        eta_cutoff: likewise, with less asked where many pieces are probable; 0 is all. (3e-4 to 4e-3 are usual.)
        without_replacement: draw `num_return_sequences` outputs at once, no two of them the same.
        seed: the same request with the same seed gives the same output, alone or in any batch. By default another one
            each time; the answer says which.
    """

    do_sample: bool = False
    temperature: float = Field(default=1.0, gt=0)
    top_k: int = Field(default=50, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    min_p: float = Field(default=0.0, ge=0, le=1)
    typical_p: float = Field(default=1.0, gt=0, le=1)
    epsilon_cutoff: float = Field(default=0.0, ge=0, lt=1)
    eta_cutoff: float = Field(default=0.0, ge=0, lt=1)
    without_replacement: bool = False
    seed: int | None = Field(default=None, ge=0)


class WordingOptions(Config):
    """What an output may and must say. What must be wins over what may not.

    Attributes:
        repetition_penalty: above 1, pieces that were produced become less likely: their log-probability is multiplied by it.
        no_repeat_ngram_size: no n-gram of so many pieces comes twice in an output; 0 is off.
        encoder_no_repeat_ngram_size: no n-gram of so many pieces of the source (its end is one) comes in the output; 0 is
            off. Source and target must share their vocabulary.
        force_words: texts that must come, wherever they fit; in place of one, several of which one must. It takes beams.
        force_words_ids: the same in ids: rows of ids, or in place of one, several of which one must come.
        allowed_outputs: the only outputs that there may be; guards are off, and the longest of them may be as long as it is.
        allowed_outputs_ids: the same in ids, without the end.
        prefix: how each output begins, unless its input gives a beginning.
        bad_words: texts that the tokenizer's own pieces for them are not to spell.
        bad_words_ids: rows of ids that are not to come.
        suppress_tokens: ids that are not to come.
        begin_suppress_tokens: ids that are not to come first.
        forced_bos_token_id: the id to begin with, unless the request gives a beginning.
        forced_eos_token_id: the end; an output that reaches the maximum length ends there and does not count as cut off.
    """

    repetition_penalty: float = Field(default=1.0, gt=0)
    no_repeat_ngram_size: int = Field(default=0, ge=0)
    encoder_no_repeat_ngram_size: int = Field(default=0, ge=0)
    force_words: tuple[Text | Annotated[tuple[Text, ...], Field(min_length=1)], ...] = ()
    force_words_ids: tuple[Phrase | Annotated[tuple[Phrase, ...], Field(min_length=1)], ...] = ()
    allowed_outputs: tuple[str, ...] = ()
    allowed_outputs_ids: tuple[Ids, ...] = ()
    prefix: str = ""
    bad_words: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    bad_words_ids: tuple[Annotated[Ids, Field(min_length=1)], ...] = ()
    suppress_tokens: Ids = ()
    begin_suppress_tokens: Ids = ()
    forced_bos_token_id: Id | None = None
    forced_eos_token_id: Id | None = None

    @property
    def required(self) -> tuple[tuple[Ids, ...], ...]:
        """The constraints of `force_words_ids`, each as several rows of ids of which one must come."""
        return tuple(
            tuple(one for one in several if isinstance(one, tuple))
            or (tuple(id for id in several if isinstance(id, int)),)
            for several in self.force_words_ids
        )

    @property
    def beginning(self) -> Ids:
        """The ids that an output begins with."""
        return () if self.forced_bos_token_id is None else (self.forced_bos_token_id,)


class VarietyOptions(Config):
    """How safe or how varied, and which of several to choose.

    Attributes:
        diversity: a dial that sets other options. 0 is beam search, and its best outputs where several are asked for.
            Above 0, one output is sampled with `temperature` diversity, `top_p` (1 + diversity) / 2 and `top_k` 0, so that
            1 is the model's own distribution; several are sampled at once with `temperature` diversity, `top_k` 0 and
            `without_replacement`, which near 0 is beam search again.
        mbr: minimum Bayes risk: draw so many samples, and choose the one that is most like all of them. Sampling has
            `top_k` 0 then unless it is given.
        mbr_metric: how alike two outputs are: the name of a metric, as in `isthmus.text.metrics.NAMES`.
    """

    diversity: float | None = Field(default=None, ge=0, le=1)
    mbr: int | None = Field(default=None, ge=2)
    mbr_metric: str = "chrf"


class RunningOptions(Config):
    """How to go about it.

    Attributes:
        batch: how many sentences to search at a time; long ones count for more (see `batches.batches`).
        split_sentences: translate sentence by sentence and join again; "auto" does so for models trained on sentences.
        context_sentences: of a text whose sentences are generated one by one, so many before each are read with it (fewer
            where that would be too long); by default as many as the model was trained with.
        guards: decode again, in a safer way, what looks wrong (see `guards`), keep the better one and say so.
        attention: also say where the decoder looked.
        alignment: also say which word of the input each word of the output comes from, by where the decoder looked.
        alternatives: also say, for each piece, so many others that could have come.
        token_scores: also say the log-probability of each piece. The search of Isthmus knows them anyway; an engine that
            searches by itself is faster without.
    """

    batch: int = Field(default=64, ge=1)
    split_sentences: bool | Literal["auto"] = "auto"
    context_sentences: int | None = Field(default=None, ge=0)
    guards: bool = True
    attention: bool = False
    alignment: bool = False
    alternatives: int = Field(default=0, ge=0)
    token_scores: bool = True


class GenerationOptions(LengthOptions, SearchOptions, SamplingOptions, WordingOptions, VarietyOptions, RunningOptions):
    """Options of a generation, explained at their groups; what is not given keeps its default."""

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
        dropped = self._contradicted(given)
        for twins in TWINS:
            if not given.keys().isdisjoint(twins):
                dropped |= set(twins)
        return self.of({name: value for name, value in values.items() if name not in dropped} | dict(given), where)

    def _contradicted(self, given: Mapping[str, Any]) -> set[str]:
        """The options of which given ones may take the place."""
        if given.get("diversity") is not None:
            return set(DIALLED)
        dropped = set() if given.keys().isdisjoint(DIALLED) else {"diversity"}
        if given.get("mbr") is None and not (given.get("do_sample", True) and given.keys().isdisjoint(SEARCHING)):
            dropped.add("mbr")
        mbr = given.get("mbr") or ("mbr" not in dropped and self.mbr)
        sample = given.get("do_sample", self.do_sample or bool(mbr))
        return dropped | set(SEARCHING if sample else SAMPLING)

    @property
    def draws(self) -> bool:
        """Whether pieces are drawn: asked for, or because samples are chosen among."""
        return self.do_sample or self.mbr is not None

    @property
    def rows(self) -> int:
        """How many sentences of the search one input becomes: one a sample, or one a group of beams."""
        if self.do_sample:
            return 1 if self.without_replacement else self.num_return_sequences
        return self.num_beam_groups

    @property
    def beams(self) -> int:
        """How many beams the search has: one when sampling."""
        return 1 if self.do_sample else self.num_beams

    @model_validator(mode="after")
    def _searches_or_samples(self) -> Self:
        values: dict[str, Any] = self.model_dump()
        if self.diversity is not None:
            return self._dial_is_free(values)
        idle = SEARCHING if self.draws else SAMPLING
        reason = "do_sample" if self.do_sample or self.mbr is None else "mbr"
        for name in idle:
            default = 1 if name == "num_beams" else type(self).model_fields[name].default
            if name in self.model_fields_set and values[name] != default:
                fix = f"leave out `{name}`" + ("" if self.draws else ", or set `do_sample` to true")
                raise _contradiction(self, name, reason, fix)
        for name in ("force_words", "force_words_ids"):
            if self.num_beam_groups > 1 and values[name]:
                raise _contradiction(self, name, "num_beam_groups", "leave out one of them")
        if self.mbr is not None and self.num_return_sequences > self.mbr:
            raise _contradiction(
                self, "num_return_sequences", "mbr", f"set `mbr` to at least {self.num_return_sequences}"
            )
        if not self.draws and self.num_return_sequences > self.num_beams:
            fix = f"set `num_beams` to at least {self.num_return_sequences}"
            raise _contradiction(self, "num_return_sequences", "num_beams", fix)
        return self

    def _dial_is_free(self, values: Mapping[str, Any]) -> Self:
        for name in DIALLED:
            if name in self.model_fields_set and values[name] != type(self).model_fields[name].default:
                raise _contradiction(self, name, "diversity", f"leave out `{name}`, which `diversity` decides")
        return self


def _exact(product: float) -> float:
    """A ratio of a whole number, without the error of the last digit that would round it the wrong way."""
    return round(product, 9)


def _contradiction(options: Config, one: str, other: str, fix: str) -> InputError:
    values: dict[str, Any] = options.model_dump()
    return InputError(
        f"`{one}` and `{other}` contradict each other",
        expected="options that can hold together",
        got=f"{one}={values[one]!r} with {other}={values[other]!r}",
        where="generation options",
        fix=fix,
    )
