"""The translator: text in, text out; what `isthmus.load` returns."""

from __future__ import annotations

import copy
import secrets
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Literal, Never, final

from isthmus.core.errors import InputError
from isthmus.data.codec import Codec
from isthmus.engines.engine import Engine
from isthmus.generate.alternatives import alternatives
from isthmus.generate.answer import Answer, GenerationWarning, answered
from isthmus.generate.delegate import Delegation, obstacle
from isthmus.generate.guards import Guards, guarded
from isthmus.generate.inputs import Given, Task, pair, taken_apart
from isthmus.generate.jobs import Found, Job, SearchJobs, Target, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.generate.profile import Profile
from isthmus.generate.risk import search_by_risk
from isthmus.generate.score import Scored, scored, token_scores
from isthmus.generate.stream import Delta, one_beam, streamed
from isthmus.generate.variety import settled
from isthmus.generate.wording import in_ids

WINDOW = 2048
"""How many inputs `each` reads ahead, to search those of similar length together."""


@final
class Translator:
    """Generates text from text with one engine.

    Args:
        engine: runs the model.
        codec: text to ids, and ids to text.
        options: what holds where a call says nothing else.
        task: what the model was trained for.
        profile: what the targets of its training look like.
        delegation: what searches in place of the engine where it is exact, if anything does.
    """

    def __init__(
        self,
        engine: Engine,
        codec: Codec,
        options: GenerationOptions,
        task: Task,
        profile: Profile | None = None,
        delegation: Delegation | None = None,
    ) -> None:
        self.engine, self.codec, self.options, self.task = engine, codec, options, task
        self.delegation = delegation
        self.guards = Guards.of(profile or Profile(), codec)
        self.search: SearchJobs = partial(search_jobs if delegation is None else delegation.search, engine)

    def through(self, engine: Engine, search: SearchJobs) -> Translator:
        """The same translator, whose model another runs: a server, which joins the searches of many clients.

        Args:
            engine: runs the model where something else than a search is asked of it.
            search: runs the searches.
        """
        other = copy.copy(self)
        other.engine, other.search = engine, search
        return other

    def generate(
        self,
        texts: str | Sequence[str | tuple[str, ...]],
        options: GenerationOptions | None = None,
        *,
        max_length: int | None = None,
        max_new_tokens: int | None = None,
        max_length_ratio: float | None = None,
        min_length: int | None = None,
        min_new_tokens: int | None = None,
        min_length_ratio: float | None = None,
        num_beams: int | None = None,
        num_return_sequences: int | None = None,
        length_penalty: float | None = None,
        early_stopping: bool | Literal["never"] | None = None,
        num_beam_groups: int | None = None,
        diversity_penalty: float | None = None,
        coverage_penalty: float | None = None,
        do_sample: bool | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        typical_p: float | None = None,
        epsilon_cutoff: float | None = None,
        eta_cutoff: float | None = None,
        without_replacement: bool | None = None,
        seed: int | None = None,
        repetition_penalty: float | None = None,
        no_repeat_ngram_size: int | None = None,
        encoder_no_repeat_ngram_size: int | None = None,
        force_words: Sequence[str | Sequence[str]] | None = None,
        force_words_ids: Sequence[Sequence[int] | Sequence[Sequence[int]]] | None = None,
        allowed_outputs: Sequence[str] | None = None,
        allowed_outputs_ids: Sequence[Sequence[int]] | None = None,
        prefix: str | None = None,
        bad_words: Sequence[str] | None = None,
        bad_words_ids: Sequence[Sequence[int]] | None = None,
        suppress_tokens: Sequence[int] | None = None,
        begin_suppress_tokens: Sequence[int] | None = None,
        forced_bos_token_id: int | None = None,
        forced_eos_token_id: int | None = None,
        diversity: float | None = None,
        mbr: int | None = None,
        mbr_metric: str | None = None,
        batch: int | None = None,
        split_sentences: bool | Literal["auto"] | None = None,
        context_sentences: int | None = None,
        guards: bool | None = None,
        **unknown: Never,
    ) -> list[str]:
        """The output of each text, in order: by beam search with 5 beams, unless the bundle or the call says otherwise.

        None leaves an option as the bundle has it; each is explained at the groups of `GenerationOptions`. An output that reached its
        maximum length gives a `GenerationWarning`.

        Args:
            texts: one text or several, each a tuple of texts if the model reads several sources; an empty text gives an empty
                output.
            options: options as one value; the keywords below win over it.
            max_length: the most pieces to produce, without start and end; 2 x source + 10 unless said otherwise.
            max_new_tokens: another name of `max_length`.
            max_length_ratio: the most pieces for each piece of the source.
            min_length: no end before so many pieces.
            min_new_tokens: another name of `min_length`.
            min_length_ratio: the fewest pieces for each piece of the source.
            num_beams: beams of the search; 1 is greedy.
            num_return_sequences: outputs of each text; they stand one after the other.
            length_penalty: above 0 favours long outputs.
            early_stopping: when a beam search is done.
            num_beam_groups: groups of beams that keep away from each other.
            diversity_penalty: how much they do.
            coverage_penalty: above 0 favours outputs that have read all of the source.
            do_sample: draw from the model's probabilities instead of searching.
            temperature: of sampling.
            top_k: sample among the k most probable pieces; 0 is all.
            top_p: sample among the most probable pieces that make up this probability.
            min_p: sample among pieces at least this many times as probable as the best.
            typical_p: sample among the pieces about as surprising as is to be expected that make up this probability.
            epsilon_cutoff: sample among pieces of at least this probability.
            eta_cutoff: likewise, with less asked where many pieces are probable.
            without_replacement: no two samples of a text are the same.
            seed: of sampling.
            repetition_penalty: above 1, what was produced becomes less likely.
            no_repeat_ngram_size: no n-gram of so many pieces twice.
            encoder_no_repeat_ngram_size: no n-gram of so many pieces of the source.
            force_words: texts that must come; in place of one, several of which one must.
            force_words_ids: the same in ids.
            allowed_outputs: the only outputs that there may be.
            allowed_outputs_ids: the same in ids, without the end.
            prefix: how each output begins.
            bad_words: texts that are not to come.
            bad_words_ids: rows of ids that are not to come.
            suppress_tokens: ids that are not to come.
            begin_suppress_tokens: ids that are not to come first.
            forced_bos_token_id: the id to begin with.
            forced_eos_token_id: the end, also of an output that reaches its maximum length.
            diversity: a dial from 0 (beam search) to 1 (the model's own distribution).
            mbr: choose among so many samples the one that is most like all of them.
            mbr_metric: how alike two outputs are; chrF unless said otherwise.
            batch: how many sentences to search at a time.
            split_sentences: whether to generate from each sentence by itself.
            context_sentences: how many sentences before each are read with it.
            guards: whether to decode again what looks wrong.
            **unknown: other options are errors that name the nearest one.

        Raises:
            InputError: an unknown option, options that contradict each other, or a text that is too long for the model.
        """
        keywords = locals()
        given = {name: keywords[name] for name in GenerationOptions.model_fields if keywords.get(name) is not None}
        asked = self._over(options).updated({"token_scores": False} | given | unknown)
        answers = self.answers([texts] if isinstance(texts, str) else texts, asked)
        said = [f"input {number}: {said}" for number, one in enumerate(answers, 1) for said in one.warnings]
        if said:
            more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
            warnings.warn(f"{said[0]}{more}", GenerationWarning, stacklevel=2)
        return [hypothesis.text for answer in answers for hypothesis in answer.hypotheses]

    def answers(
        self, inputs: Sequence[Given], options: GenerationOptions | None = None, first: int = 1
    ) -> list[Answer]:
        """The answer to each input, in order, with scores, runners-up and warnings.

        Args:
            inputs: texts, tuples of texts (several sources), or examples with context or a given beginning (their targets are not read).
            options: laid over the translator's own.
            first: the number of the first input in errors.

        Raises:
            InputError: as `generate`.
        """
        options = in_ids(self._resolved(options), self.codec)
        if self.delegation is not None:
            self.delegation.check(options)
        taken = [taken_apart(one, self.task, options) for one in inputs]
        positions = self.task.positions
        jobs = [one.jobs(self.codec, positions, number) for number, one in enumerate(taken, first)]
        target = Target(self.codec.target.vocabulary.eos, self.codec.target.vocabulary.control, positions)
        found = iter(self._searched([job for several in jobs for job in several], target, options))
        return [
            answered(one, several, list(islice(found, len(several))), self.codec, options)
            for one, several in zip(taken, jobs, strict=True)
        ]

    def engine_for(self, options: GenerationOptions | None = None) -> str:
        """What will search for a request: its name, and why it is not the faster one that there is.

        Args:
            options: laid over the translator's own.

        Raises:
            InputError: options contradict each other.
        """
        if self.delegation is None:
            return "torch"
        reason = obstacle(in_ids(self._resolved(options), self.codec))
        name = self.delegation.searcher.name
        return f"torch ({name} would not do exactly what {reason} asks for)" if reason else name

    def each(self, inputs: Iterable[Given], options: GenerationOptions | None = None) -> Iterator[Answer]:
        """The answers to any number of inputs, in order, in flat memory: read, answered and given a window at a time."""
        options = self._resolved(options)
        source, first = iter(inputs), 1
        while window := list(islice(source, WINDOW)):
            yield from self.answers(window, options, first)
            first += len(window)

    def stream(self, text: Given, options: GenerationOptions | None = None) -> Iterator[Delta]:
        """The output of a text as it comes, by greedy search or sampling; the texts put together are the output.

        Nothing that was given is taken back, so the guards only say what they find.

        Args:
            text: a text, a tuple of texts (several sources), or an example with context or a given beginning.
            options: laid over the translator's own; one beam and one output, whatever these say.

        Raises:
            InputError: as `generate`, or more than one beam or output is asked for.
        """
        given = options
        options = in_ids(one_beam(given, self._resolved(given)), self.codec)
        one = taken_apart(text, self.task, options)
        jobs = one.jobs(self.codec, self.task.positions, 1)
        target = Target(self.codec.target.vocabulary.eos, self.codec.target.vocabulary.control, self.task.positions)
        return streamed(self.engine, one, jobs, target, options, self.guards)

    def _searched(self, jobs: Sequence[Job], target: Target, options: GenerationOptions) -> list[Found]:
        """What was found for each job, after a look by the guards if they are on."""
        search = self.search if options.mbr is None else partial(search_by_risk, self.search, self.codec.text)
        guards = self.guards if options.guards else None
        found = search(jobs, target, options) if guards is None else guarded(search, jobs, target, options, guards)
        if options.alternatives == 0:
            return found
        size, end = self.codec.target.vocabulary.size, self.codec.target.vocabulary.eos
        came = [
            (job.source, (*one.ids, *[end] * (one.length - len(one.ids))))
            for job, each in zip(jobs, found, strict=True)
            for one in each.hypotheses
        ]
        others = iter(alternatives(self.engine, came, options.alternatives, target.never, size, options.batch))
        return [replace(each, alternatives=tuple(islice(others, len(each.hypotheses)))) for each in found]

    def score(self, sources: Sequence[Given], targets: Sequence[str]) -> list[Scored]:
        """How probable the model finds each target, given its source: whole texts, never divided.

        A text is scored as the tokenizer writes it. Where that is also what was generated, the total is the score of the
        answer.

        Args:
            sources: texts, tuples of texts, or examples.
            targets: one for each source.

        Raises:
            InputError: there is not one target a source, or a text is too long for the model.
        """
        if len(sources) != len(targets):
            raise InputError(
                "every source needs one target",
                expected=f"{len(sources):,} targets, one a source",
                got=f"{len(targets):,} targets",
                fix="give sources and targets of one length",
            )
        asked = enumerate(zip(sources, targets, strict=True), 1)
        pairs = [pair(source, target, self.codec, self.task, number) for number, (source, target) in asked]
        target_side = self.codec.target
        found = token_scores(self.engine, pairs, target_side.vocabulary.size, self.options.batch)
        return [
            scored(ids, target_side.pieces(ids), scores, self.options.length_penalty)
            for (_, ids), scores in zip(pairs, found, strict=True)
        ]

    def _over(self, options: GenerationOptions | None) -> GenerationOptions:
        """The translator's options with those of a call on top."""
        return self.options.updated({} if options is None else options.model_dump(exclude_unset=True))

    def _resolved(self, options: GenerationOptions | None) -> GenerationOptions:
        """The same, settled, and with a seed if one is needed."""
        resolved = settled(self._over(options))
        if resolved.do_sample and resolved.seed is None:
            return resolved.updated({"seed": secrets.randbits(31)})
        return resolved
