"""A folder of transformers, run by transformers, to compare it with a model of ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import torch
import transformers
from transformers.utils import logging

from isthmus.core.padded import Padded
from isthmus.export.sides import Ids, Side
from isthmus.generate.batches import batches
from isthmus.generate.jobs import Job, Target, length_limit
from isthmus.generate.options import GenerationOptions
from isthmus.generate.state import Hypothesis, StopReason


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars and remarks of transformers, which are as before afterwards."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@final
class HuggingFace(Side):
    """A model and a tokenizer of transformers.

    Args:
        model: in evaluation mode.
        tokenizer: its tokenizer.
        target: what a search must know of the target side.
        first: ids that every output begins with; the model's own configuration forces them.
    """

    def __init__(self, model: Any, tokenizer: Any, target: Target, first: tuple[int, ...] = ()) -> None:
        self.model, self.tokenizer, self.target, self.first = model, tokenizer, target, first
        self._folder = model.generation_config

    @classmethod
    def open(cls, folder: Path, target: Target, first: tuple[int, ...] = ()) -> HuggingFace:
        """Open a folder as its users do.

        Args:
            folder: what was exported.
            target: what a search must know of the target side.
            first: ids that every output begins with.
        """
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(model.eval(), tokenizer, target, first)

    def source_ids(self, text: str) -> list[int]:
        """The ids that the tokenizer makes of a text."""
        ids: list[int] = self.tokenizer(text)["input_ids"]
        return ids

    def token_scores(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[tuple[float, ...]]:
        """By teacher forcing; see `Side`."""
        return [self._scores(source, target) for source, target in pairs]

    def outputs(self, sources: Sequence[Ids], options: GenerationOptions) -> list[tuple[Hypothesis, ...] | None]:
        """By its own search; see `Side`. Of beams that the longest length cut, tools keep different ones."""
        found: dict[int, tuple[Hypothesis, ...] | None] = {}
        for places in batches([len(source) for source in sources], max(1, options.batch // options.num_beams)):
            found.update(zip(places, self._search([sources[place] for place in places], options), strict=True))
        return [found[place] for place in range(len(sources))]

    def _scores(self, source: Ids, target: Ids) -> tuple[float, ...]:
        start = self.model.config.decoder_start_token_id
        with torch.inference_mode():
            logits_TV = self.model(
                input_ids=torch.tensor([list(source)]), decoder_input_ids=torch.tensor([[start, *target[:-1]]])
            ).logits[0]
        log_probs_TV = logits_TV.float().log_softmax(dim=-1)
        return tuple(float(row_V[id]) for row_V, id in zip(log_probs_TV, target, strict=True))

    def _search(self, sources: Sequence[Ids], options: GenerationOptions) -> list[tuple[Hypothesis, ...] | None]:
        """The outputs of one batch; a source that may have less than the longest of them is cut to it."""
        jobs = [Job(tuple(source), self.first) for source in sources]
        limits = [length_limit(job, 1, self.target.positions, options) for job in jobs]
        source = Padded.of([job.source for job in jobs])
        self.model.generation_config = self._asked(options, max(limits) + 2)  # start and end count
        with torch.inference_mode():
            found_NT = self.model.generate(
                input_ids=source.ids_BT.masked_fill(~source.mask_BT, self.model.config.pad_token_id),
                attention_mask=source.mask_BT.long(),
            )
        rows = iter(found_NT[:, 1:].tolist())
        return [
            self._outputs(job.source, [next(rows) for _ in range(options.num_return_sequences)], limit, options)
            for job, limit in zip(jobs, limits, strict=True)
        ]

    def _asked(self, options: GenerationOptions, longest: int) -> transformers.GenerationConfig:
        """A search as asked for, whatever else the folder says of how the model likes to generate."""
        folder = self._folder
        return transformers.GenerationConfig(
            num_beams=options.num_beams,
            num_return_sequences=options.num_return_sequences,
            early_stopping=options.early_stopping,
            length_penalty=options.length_penalty,
            max_length=longest,
            pad_token_id=folder.pad_token_id,
            bos_token_id=folder.bos_token_id,
            eos_token_id=folder.eos_token_id,
            decoder_start_token_id=folder.decoder_start_token_id,
            forced_bos_token_id=folder.forced_bos_token_id,
            suppress_tokens=folder.suppress_tokens,
        )

    def _outputs(
        self, source: Ids, rows: list[list[int]], longest: int, options: GenerationOptions
    ) -> tuple[Hypothesis, ...] | None:
        outputs = tuple(self._hypothesis(source, row, longest, options.length_penalty) for row in rows)
        cut = options.num_beams > 1 and any(one.stop != "end" for one in outputs)
        return None if cut else outputs

    def _hypothesis(self, source: Ids, ids: list[int], longest: int, length_penalty: float) -> Hypothesis:
        """An output with the scores that the model gives it."""
        end = ids.index(self.target.end) if self.target.end in ids else len(ids)
        said, ended = ids[: min(end, longest)], end <= longest and end < len(ids)
        scores = self._scores(source, [*said, self.target.end] if ended else said)
        score, length = math.fsum(scores), max(1, len(scores))
        stop: StopReason = "end" if ended else "max_length"
        return Hypothesis(tuple(said), scores, score, score / length**length_penalty, stop)
