"""From options to the rules of a search."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import torch
from torch import Tensor

from isthmus.generate import choose
from isthmus.generate.expand import Beam, Expand, Greedy, Sample
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
    """
    choosers: list[Chooser] = []
    forbidden = sorted(set(never) - {end})
    if forbidden:
        choosers.append(partial(_suppressed, torch.tensor(forbidden, dtype=torch.int64, device=device)))
    if options.min_length > 0:
        choosers.append(partial(_long_enough, end))
    choosers.append(_begun)
    return Rules(end, _expand(options), tuple(choosers), options.length_penalty, options.early_stopping)


def _expand(options: GenerationOptions) -> Expand:
    if options.do_sample:
        return Sample(
            (
                partial(choose.temperature, value=options.temperature),
                partial(choose.top_k, k=options.top_k),
                partial(choose.top_p, p=options.top_p),
                partial(choose.min_p, p=options.min_p),
            )
        )
    return Greedy() if options.num_beams == 1 else Beam(options.num_beams)


def _suppressed(ids: Tensor, scores_NKV: Tensor, _: SearchState) -> Tensor:
    """Never a control piece."""
    return choose.suppress(scores_NKV, ids)


def _long_enough(end: int, scores_NKV: Tensor, state: SearchState) -> Tensor:
    """No end before the minimum length."""
    return choose.suppress_where(scores_NKV, (state.length_N < state.requests.min_length_N).unsqueeze(1), end)


def _begun(scores_NKV: Tensor, state: SearchState) -> Tensor:
    """The pieces that an output must begin with; they cost nothing."""
    prefix_NP = state.requests.prefix_NP
    if prefix_NP.shape[1] == 0:
        return scores_NKV
    place_N1 = state.length_N.unsqueeze(1)
    ids_N1 = prefix_NP.gather(1, place_N1.clamp(max=prefix_NP.shape[1] - 1))
    return choose.force(scores_NKV, ids_N1.where(place_N1 < prefix_NP.shape[1], -1))
