"""A folder of transformers, run by transformers, to compare it with a model of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import torch
import transformers
from transformers.utils import logging

from isthmus.export.parity import Output


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
class HuggingFace:
    """A model and a tokenizer of transformers.

    Args:
        model: in evaluation mode.
        tokenizer: its tokenizer.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def open(cls, folder: Path) -> HuggingFace:
        """Open a folder as its users do."""
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True)
        return cls(model.eval(), transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True))

    def source_ids(self, text: str) -> list[int]:
        """The ids that the tokenizer makes of a text."""
        ids: list[int] = self.tokenizer(text)["input_ids"]
        return ids

    def token_log_probs(self, source: Sequence[int], target: Sequence[int]) -> list[float]:
        """The log-probability of each id of a target.

        Args:
            source: ids with the end.
            target: ids with the end.
        """
        start = self.model.config.decoder_start_token_id
        with torch.inference_mode():
            logits_TV = self.model(
                input_ids=torch.tensor([list(source)]), decoder_input_ids=torch.tensor([[start, *target[:-1]]])
            ).logits[0]
        log_probs_TV = logits_TV.float().log_softmax(dim=-1)
        return [float(row_V[id]) for row_V, id in zip(log_probs_TV, target, strict=True)]

    def search(self, source: Sequence[int], beams: int, longest: int) -> Output:
        """The best output of its own search.

        Args:
            source: ids with the end.
            beams: of the search.
            longest: the most pieces; transformers counts start and end too.
        """
        with torch.inference_mode():
            found = self.model.generate(
                input_ids=torch.tensor([list(source)]),
                attention_mask=torch.ones(1, len(source), dtype=torch.int64),
                num_beams=beams,
                do_sample=False,
                length_penalty=1.0,
                early_stopping=False,
                max_length=longest + 2,
                return_dict_in_generate=True,
                output_scores=True,
            )
        ids = found.sequences[0].tolist()[1:]
        end = self.model.generation_config.eos_token_id
        stop = ids.index(end) if end in ids else min(len(ids), longest)
        score = float(found.sequences_scores[0]) if beams > 1 else 0.0
        return Output(tuple(ids[:stop]), score, end in ids)
