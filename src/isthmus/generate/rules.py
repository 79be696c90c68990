"""From options to the rules of a search.

N live sentences, K live beams, V vocabulary, T pieces so far, P pieces to begin with, W phrases, L their length.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from isthmus.core.errors import InputError
from isthmus.generate import choose
from isthmus.generate.allowed import Allowed
from isthmus.generate.expand import Beam, Constrained, Diverse, Expand, Greedy, Sample, Stochastic
from isthmus.generate.options import GenerationOptions
from isthmus.generate.search import Chooser, Rules
from isthmus.generate.state import SearchState


def rules_of(options: GenerationOptions, end: int, never: Collection[int], device: str = "cpu") -> Rules:
    """The rules that options ask for.

    Args:
        options: what the user wants.
        end: the id that ends an output.
        never: ids that are not to be produced (control pieces).
        device: where the scores live.

    Raises:
        InputError: something else than the end is to be forced at the end.
    """
    choosers = (
        *_about_repetition(options),
        *_about_words(options, end, set(never) - {end}, device),
        *_about_length(options, end),
        _begun,
    )
    expand = _expand(options, end)
    if options.without_replacement:  # compared are perturbed log-probabilities as they are
        return Rules(end, expand, choosers, length_penalty=0.0)
    return Rules(
        end, expand, choosers, options.length_penalty, options.early_stopping, coverage_penalty=options.coverage_penalty
    )


def _expand(options: GenerationOptions, end: int) -> Expand:
    if options.do_sample:
        warpers = (
            partial(choose.temperature, value=options.temperature),
            partial(choose.top_k, k=options.top_k),
            partial(choose.top_p, p=options.top_p),
            partial(choose.min_p, p=options.min_p),
            partial(choose.typical, p=options.typical_p),
            partial(choose.epsilon, cutoff=options.epsilon_cutoff),
            partial(choose.eta, cutoff=options.eta_cutoff),
        )
        return Stochastic(options.num_return_sequences, warpers) if options.without_replacement else Sample(warpers)
    if options.required:
        return Constrained(options.num_beams, end)
    if options.num_beam_groups > 1:
        return Diverse(options.num_beams // options.num_beam_groups, options.diversity_penalty, end)
    return Greedy() if options.num_beams == 1 else Beam(options.num_beams)


def _about_repetition(options: GenerationOptions) -> Iterator[Chooser]:
    if options.repetition_penalty != 1.0:
        yield partial(_less_of_the_same, options.repetition_penalty)
    if options.no_repeat_ngram_size > 0:
        yield partial(_nothing_twice, options.no_repeat_ngram_size)
    if options.encoder_no_repeat_ngram_size > 0:
        yield partial(_nothing_copied, options.encoder_no_repeat_ngram_size)


def _about_words(options: GenerationOptions, end: int, never: Collection[int], device: str) -> Iterator[Chooser]:
    if options.allowed_outputs_ids:
        yield Allowed.of(options.allowed_outputs_ids, end)
    for phrases in _by_length(options.bad_words_ids):
        yield partial(_phrases_ruled_out, torch.tensor(phrases, dtype=torch.int64, device=device))
    if forbidden := sorted({*never, *options.suppress_tokens}):
        yield partial(_suppressed, torch.tensor(forbidden, dtype=torch.int64, device=device))
    if options.begin_suppress_tokens:
        yield partial(_suppressed_first, torch.tensor(options.begin_suppress_tokens, device=device))


def _about_length(options: GenerationOptions, end: int) -> Iterator[Chooser]:
    if options.floor > 0 or options.min_length_ratio > 0:
        yield partial(_long_enough, end)
    if options.forced_eos_token_id is not None:
        if options.forced_eos_token_id != end:
            raise InputError(
                "only the end can be forced at the end",
                expected=str(end),
                got=str(options.forced_eos_token_id),
                where="forced_eos_token_id",
                fix=f"set `forced_eos_token_id` to {end}, or leave it out",
            )
        yield partial(_ended_in_time, end)


def _by_length(phrases: Sequence[Sequence[int]]) -> list[list[list[int]]]:
    """Phrases of equal length together."""
    return [[[*one] for one in phrases if len(one) == length] for length in sorted({len(one) for one in phrases})]


def _so_far(state: SearchState) -> Tensor:
    """What each beam has produced; int64 [N, K, T], -1 before its first piece."""
    ids_NKT = state.beams.ids_NKT
    before_NT = torch.arange(-ids_NKT.shape[2], 0, device=ids_NKT.device) < -state.length_N.unsqueeze(1)
    return ids_NKT.masked_fill(before_NT.unsqueeze(1), -1)


def _less_of_the_same(penalty: float, scores_NKV: Tensor, state: SearchState) -> Tensor:
    """What was produced becomes less likely."""
    return choose.repetition_penalty(scores_NKV, _so_far(state), penalty)


def _nothing_twice(size: int, scores_NKV: Tensor, state: SearchState) -> Tensor:
    """No n-gram of the output again."""
    return choose.no_repeat_ngram(scores_NKV, _so_far(state), size)


def _nothing_copied(size: int, scores_NKV: Tensor, state: SearchState) -> Tensor:
    """No n-gram of the source."""
    return choose.no_copied_ngram(scores_NKV, _so_far(state), state.requests.source_NS.unsqueeze(1), size)


def _phrases_ruled_out(phrases_WL: Tensor, scores_NKV: Tensor, state: SearchState) -> Tensor:
    """None of these phrases, which are of one length."""
    return choose.no_phrase(scores_NKV, _so_far(state), phrases_WL)


def _suppressed(ids: Tensor, scores_NKV: Tensor, state: SearchState) -> Tensor:
    """Never one of these pieces."""
    return choose.suppress_(_writable(scores_NKV, state), ids)


def _suppressed_first(ids: Tensor, scores_NKV: Tensor, state: SearchState) -> Tensor:
    """None of these where the output is first free."""
    given_N = (state.requests.prefix_NP >= 0).sum(dim=1)
    first_N11 = (state.length_N == given_N)[:, None, None]
    return torch.where(first_N11, choose.suppress(scores_NKV, ids), scores_NKV)


def _long_enough(end: int, scores_NKV: Tensor, state: SearchState) -> Tensor:
    """No end before the minimum length."""
    short_N = state.length_N < state.requests.min_length_N
    if not bool(short_N.any()):
        return scores_NKV
    return choose.suppress_where_(_writable(scores_NKV, state), short_N.unsqueeze(1), end)


def _writable(scores_NKV: Tensor, state: SearchState) -> Tensor:
    """The scores themselves, since nobody reads what a piece would have had that cannot come; a copy costs as much as a layer's products.

    Where an output must begin with given pieces, they come although they are ruled out, and have their scores: then a copy.
    """
    return scores_NKV if state.requests.prefix_NP.shape[1] == 0 else scores_NKV.clone()


def _ended_in_time(end: int, scores_NKV: Tensor, state: SearchState) -> Tensor:
    """The end at the maximum length."""
    full_N = state.length_N >= state.requests.max_length_N
    return _forced(scores_NKV, torch.full_like(state.length_N, end).where(full_N, -1).unsqueeze(1))


def _begun(scores_NKV: Tensor, state: SearchState) -> Tensor:
    """The pieces that an output must begin with; they cost nothing."""
    prefix_NP = state.requests.prefix_NP
    if prefix_NP.shape[1] == 0:
        return scores_NKV
    place_N1 = state.length_N.unsqueeze(1)
    ids_N1 = prefix_NP.gather(1, place_N1.clamp(max=prefix_NP.shape[1] - 1))
    return _forced(scores_NKV, ids_N1.where(place_N1 < prefix_NP.shape[1], -1))


def _forced(scores_NKV: Tensor, ids_N1: Tensor) -> Tensor:
    """One piece only where one is named; most often none is, and nothing is done."""
    return choose.force(scores_NKV, ids_N1) if bool((ids_N1 >= 0).any()) else scores_NKV
