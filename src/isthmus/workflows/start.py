"""Training that goes on from a bundle: its weights, its vocabularies, its architecture; all of it, some of it, or a low-rank change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from isthmus.core.config import Config
from isthmus.core.errors import ConfigError
from isthmus.core.runtime import seeded
from isthmus.generate.load import best_of
from isthmus.model.adaptation import LowRankConfig, adapt, freeze
from isthmus.model.bundle import Bundle, weights_hash
from isthmus.model.encoder_decoder import EncoderDecoder


class StartConfig(Config):
    """Where training begins, if not with fresh weights.

    Attributes:
        bundle: the folder of a bundle or of a run; a relative one is looked for from the folder of the recipe, then from here.
        frozen: patterns of the parameters that stay as they are.
        lora: change the weights by matrices of low rank only; they are put into the weights of every bundle that is saved.
    """

    bundle: str = Field(min_length=1)
    frozen: tuple[str, ...] = ()
    lora: LowRankConfig | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """A bundle that training goes on from.

    Attributes:
        config: what of it may change.
        bundle: the bundle.
        weights: the hash of its weights as they were.
    """

    config: StartConfig
    bundle: Bundle
    weights: str

    @classmethod
    def of(cls, config: StartConfig, base: Path) -> Start:
        """Open the bundle.

        Args:
            config: names it.
            base: the folder of the recipe.

        Raises:
            ConfigError: patterns and low-rank changes are both asked for.
            BundleError: there is no bundle, or it is damaged.
        """
        if config.frozen and config.lora is not None:
            raise ConfigError(
                "low-rank changes freeze every weight already",
                expected="start.frozen, or start.lora",
                got="both",
                where="start",
                fix="leave one of them out",
            )
        path = Path(config.bundle).expanduser()
        beside = base / path
        bundle = Bundle.load(best_of(beside if beside.is_dir() else path))
        return cls(config, bundle, weights_hash(bundle.model))

    @property
    def identity(self) -> dict[str, Any]:
        """What a run that goes on must have in common with the first."""
        return {**self.config.model_dump(mode="json", exclude={"bundle"}), "weights": self.weights}

    def model(self, seed: int) -> EncoderDecoder:
        """The model to train: what is frozen in it takes no gradient.

        Args:
            seed: draws the low-rank changes.

        Raises:
            ConfigError: a pattern is no name in the model, or nothing would be left to train.
        """
        model = self.bundle.model.train()
        if self.config.lora is not None:
            with seeded(seed):
                adapt(model, self.config.lora)
        freeze(model, self.config.frozen)
        return model
