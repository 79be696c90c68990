"""The configuration of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from isthmus.core.config import Config
from isthmus.core.errors import InputError
from isthmus.text.metrics import metric
from isthmus.train.average import AverageConfig, NoAverage
from isthmus.train.objective import CrossEntropyConfig, ObjectiveConfig
from isthmus.train.optimiser import Adam, OptimiserConfig
from isthmus.train.schedule import InverseSquareRoot, ScheduleConfig


def _rises(name: str) -> bool:
    """Whether a score is better the higher it is, as far as its name is known."""
    try:
        return name == "accuracy" or metric(name).higher_is_better
    except InputError:
        return False


class SelectionConfig(Config):
    """Which validation is the best.

    Attributes:
        metric: the name of a score that a validator gives.
        direction: whether the `lower` or the `higher` score is the better one; unless it is named, what the metric says.
    """

    metric: str = "loss"
    direction: Literal["lower", "higher"] = "lower"

    @model_validator(mode="before")
    @classmethod
    def _as_the_metric_says(cls, values: Any) -> Any:
        """Without a direction, that of the metric: else the worst model would be kept where higher is better."""
        if isinstance(values, dict) and "direction" not in values and _rises(str(values.get("metric", "loss"))):
            return {**values, "direction": "higher"}
        return values


class TrainingConfig(Config):
    """Configuration of training: everything but the model and the data.

    Attributes:
        steps: updates of the weights; the schedule ends there.
        accumulate: batches an update.
        seed: of dropout; with the seed of the data it fixes the run.
        objective: what is made small.
        label_smoothing: ε of its cross-entropy.
        smoothing: what ε is spread over: `uniform`, the whole vocabulary alike; `unigram`, pieces as often as training targets have them.
        clip_norm: longest gradient (of the mean loss a token); longer ones are shortened (Pascanu et al. 2013). `inf` shortens none.
        optimiser: how gradients become updates.
        schedule: the learning rate along the way.
        average: which average of the weights is validated and kept.
        validate_every: updates between validations; the last update is always validated.
        log_every: updates between lines in the log.
        checkpoint_every: updates between checkpoints; by default after each validation. The best and the last update always have one.
        keep_checkpoints: how many of the last checkpoints are kept, beside the best.
        patience: stop after so many validations in a row without a better one; `None` never does.
        select: which validation is the best.
        precision: of the matrix products; `auto` measures what this machine is fastest in.
        compile: let `torch.compile` make kernels for the loss and its gradients, which takes minutes before the first step. For GPUs: on
            the CPUs where it was measured, steps were slower with it (docs/decisions.md).
    """

    steps: PositiveInt
    accumulate: PositiveInt = 1
    seed: NonNegativeInt = 1
    objective: ObjectiveConfig = CrossEntropyConfig()
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    smoothing: Literal["uniform", "unigram"] = "uniform"
    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=True)] = 1.0
    optimiser: OptimiserConfig = Adam()
    schedule: ScheduleConfig = InverseSquareRoot()
    average: AverageConfig = NoAverage()
    validate_every: PositiveInt = 1000
    log_every: PositiveInt = 50
    checkpoint_every: PositiveInt | None = None
    keep_checkpoints: PositiveInt = 2
    patience: PositiveInt | None = None
    select: SelectionConfig = SelectionConfig()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
