"""What can go wrong, said so that a user can mend it: the rule, what was expected, what was got, where, what to do."""

from __future__ import annotations


class IsthmusError(Exception):
    """Base of every error that Isthmus raises on purpose.

    Args:
        rule: which rule was broken, as one short sentence.
        expected: what the rule asks for.
        got: what was there instead.
        where: the file, line, field or argument.
        fix: what to do about it.
    """

    exit_code = 1

    def __init__(self, rule: str, *, expected: str = "", got: str = "", where: str = "", fix: str = "") -> None:
        self.rule, self.expected, self.got, self.where, self.fix = rule, expected, got, where, fix
        named = (("expected", expected), ("got", got), ("where", where), ("what to do", fix))
        super().__init__("\n".join([rule, *(f"  {name}: {value}" for name, value in named if value)]))


class InputError(IsthmusError):
    """The user's input (a file, an option, a recipe, a call) cannot be used as it is."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration or recipe breaks its schema."""


class DataError(InputError):
    """A corpus or one of its lines cannot be used."""


class BundleError(InputError):
    """A folder is not a bundle, is damaged, or is of a newer format."""


class CheckpointError(InputError):
    """A checkpoint is damaged, or does not fit the run that would resume from it."""


class StateError(IsthmusError):
    """A decoding state was used again after a `step` or `select` consumed it (seen in debug mode)."""


class TrainingError(IsthmusError):
    """Training cannot go on, for example because the loss stayed non-finite."""


class ExportError(IsthmusError):
    """What was exported does not compute what the model does."""
