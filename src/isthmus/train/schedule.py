"""Learning-rate schedules: pure functions from the number of the update to a factor of the peak rate.

Every schedule begins with a linear warm-up (Goyal et al. 2017, section 2.2): update 1 has factor 1 / warmup, update `warmup` has 1.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, assert_never

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from isthmus.core.config import Config


class InverseSquareRoot(Config):
    """√(warmup / step) after the warm-up (Vaswani et al. 2017, section 5.3, scaled so that the peak is 1).

    Attributes:
        warmup: updates until the peak rate.
    """

    kind: Literal["inverse-square-root"] = "inverse-square-root"
    warmup: PositiveInt = 4000


class Cosine(Config):
    """Half a cosine from 1 to `final` at the last step (Loshchilov and Hutter 2017, section 3, without restarts).

    Attributes:
        warmup: updates until the peak rate.
        final: the factor of the peak rate at the last step.
    """

    kind: Literal["cosine"] = "cosine"
    warmup: NonNegativeInt = 0
    final: NonNegativeFloat = 0.0


class Linear(Config):
    """A straight line from 1 to `final` at the last step (Devlin et al. 2019, appendix A.2).

    Attributes:
        warmup: updates until the peak rate.
        final: the factor of the peak rate at the last step.
    """

    kind: Literal["linear"] = "linear"
    warmup: NonNegativeInt = 0
    final: NonNegativeFloat = 0.0


class Constant(Config):
    """1 after the warm-up.

    Attributes:
        warmup: updates until the peak rate.
    """

    kind: Literal["constant"] = "constant"
    warmup: NonNegativeInt = 0


class WarmupStableDecay(Config):
    """1 until `decay` steps before the end, then 1 - √ of the share of the decay that is over, down to `final`.

    Hu et al. 2024 (MiniCPM), section 4; the shape of the decay is that of Hägele et al. 2024, section 3.

    Attributes:
        warmup: updates until the peak rate.
        decay: updates of the decay.
        final: the factor of the peak rate at the last step.
    """

    kind: Literal["warmup-stable-decay"] = "warmup-stable-decay"
    warmup: NonNegativeInt = 0
    decay: PositiveInt
    final: NonNegativeFloat = 0.0


ScheduleConfig = Annotated[
    InverseSquareRoot | Cosine | Linear | Constant | WarmupStableDecay, Field(discriminator="kind")
]


def factor(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """The factor of the peak learning rate at update `step` (the first is 1) of `steps`."""
    if step < schedule.warmup:
        return step / schedule.warmup
    past = min(1.0, (step - schedule.warmup) / max(1, steps - schedule.warmup))
    match schedule:
        case InverseSquareRoot(warmup=warmup):
            return math.sqrt(warmup / step)
        case Cosine(final=final):
            return final + (1 - final) * (1 + math.cos(math.pi * past)) / 2
        case Linear(final=final):
            return final + (1 - final) * (1 - past)
        case Constant():
            return 1.0
        case WarmupStableDecay(decay=decay, final=final):
            share = min(1.0, max(0.0, (step - (steps - decay)) / decay))
            return final + (1 - final) * (1 - math.sqrt(share))
        case _:
            assert_never(schedule)
