from __future__ import annotations

import pytest

from isthmus.core import errors
from isthmus.core.errors import ConfigError, ExportError, IsthmusError, StateError, TrainingError


def test_an_error_says_what_is_known_and_nothing_else() -> None:
    error = ConfigError("the rule", expected="this", got="that", where="here", fix="do")
    assert str(error) == "the rule\n  expected: this\n  got: that\n  where: here\n  what to do: do"
    assert str(IsthmusError("the rule", got="that")) == "the rule\n  got: that"
    assert str(IsthmusError("the rule")) == "the rule"
    assert (error.rule, error.expected, error.got, error.where, error.fix) == ("the rule", "this", "that", "here", "do")


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)])
def test_what_the_user_got_wrong_exits_with_two(kind: type[IsthmusError]) -> None:
    assert issubclass(kind, IsthmusError)
    assert kind("rule").exit_code == (1 if kind in (IsthmusError, StateError, TrainingError, ExportError) else 2)
