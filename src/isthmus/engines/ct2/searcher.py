"""Searches in CTranslate2: ids in, ids out, its own conventions turned into ours.

It would cut inputs at 1,024 pieces, and never let an output be empty; both are switched off. Its scores are divided by a power
of a length that counts the end, as ours are. It gives probability to control pieces, which we rule out without sharing out what
they had: so it is left to them, and an output that has one is for whoever asked to search again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, final

from isthmus.core.runtime import Runtime
from isthmus.data.codec import Codec
from isthmus.engines.ct2.folder import Quantization, require, temporary
from isthmus.engines.searcher import Outcome, Outcomes, Searcher, Wish
from isthmus.model.bundle import Bundle

UNLIMITED = 0


@final
class CTranslate2Searcher(Searcher):
    """A model that CTranslate2 runs; it is loaded when the first search comes.

    Args:
        model: the folder that CTranslate2 reads, or a bundle that is written for it then.
        codec: whose vocabularies the folder has.
        quantization: of the weights in it.
        runtime: the device, and how many searches go on at once, each on one thread.
        shortlist: whether to use the folder's list of likely pieces.

    Raises:
        InputError: CTranslate2 is not installed.
    """

    def __init__(
        self,
        model: Path | Bundle,
        codec: Codec,
        quantization: Quantization = "float32",
        runtime: Runtime | None = None,
        shortlist: bool = False,
    ) -> None:
        require()
        self.model, self.quantization, self.shortlist = model, quantization, shortlist
        self.runtime = Runtime() if runtime is None else runtime
        self._source, self._target = codec.source.vocabulary, codec.target.vocabulary
        self._loaded: Any = None
        self._lock = Lock()

    @property
    def name(self) -> str:
        """`ctranslate2` with the quantization, and whether there is a shortlist."""
        return f"ctranslate2 {self.quantization}{' with shortlist' if self.shortlist else ''}"

    @property
    def translator(self) -> Any:
        """CTranslate2's own translator."""
        with self._lock:
            if self._loaded is None:
                if isinstance(self.model, Bundle):
                    with temporary(self.model) as folder:
                        self._loaded = self._load(folder)
                else:
                    self._loaded = self._load(str(self.model))
            return self._loaded

    def _load(self, folder: str) -> Any:
        import ctranslate2

        return ctranslate2.Translator(
            folder,
            device="cuda" if self.runtime.device.startswith("cuda") else "cpu",
            compute_type="int8" if self.quantization == "int8" else "float32",
            inter_threads=self.runtime.threads,
            intra_threads=1,
        )

    def search(self, batches: Sequence[Sequence[Sequence[int]]], longest: Sequence[int], wish: Wish) -> list[Outcomes]:
        """Search batches of sources; see `Searcher`."""
        pieces = self._source.pieces
        asked = [
            self.translator.translate_batch(
                [[pieces[id] for id in source] for source in sources],
                beam_size=wish.beams,
                num_hypotheses=wish.outputs,
                length_penalty=wish.length_penalty,
                max_input_length=UNLIMITED,
                max_decoding_length=most + 1,
                min_decoding_length=0,
                return_scores=True,
                return_end_token=True,
                use_vmap=self.shortlist,
                asynchronous=True,
            )
            for sources, most in zip(batches, longest, strict=True)
        ]
        return [[self._outcomes(one.result(), wish) for one in several] for several in asked]

    def token_scores(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> list[tuple[float, ...]]:
        """The log-probability of each id of each target; see `Searcher`."""
        source, target = self._source.pieces, self._target.pieces
        found = self.translator.score_batch(
            [[source[id] for id in ids] for ids in sources],
            [[target[id] for id in ids[:-1]] for ids in targets],
            max_batch_size=64,
            max_input_length=UNLIMITED,
        )
        return [tuple(one.log_probs) for one in found]

    def _outcomes(self, found: Any, wish: Wish) -> list[Outcome]:
        return [self._outcome(*each, wish) for each in zip(found.hypotheses, found.scores, strict=True)]

    def _outcome(self, pieces: Sequence[str], normalised: float, wish: Wish) -> Outcome:
        ids = tuple(self._target.id(piece) for piece in pieces)
        ended = ids[-1:] == (self._target.eos,)
        return Outcome(ids[:-1] if ended else ids, normalised * len(ids) ** wish.length_penalty, normalised, ended)
