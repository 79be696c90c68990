"""Whether anybody still waits for an answer."""

from __future__ import annotations

import threading
import time

from isthmus.core.errors import IsthmusError


class Busy(IsthmusError):
    """The server has as much to do as it takes on; later it will have less."""


class Expired(IsthmusError):
    """A request took longer than it may."""


class Gone(IsthmusError):
    """Nobody waits for the answer any more."""


class Watch:
    """Looks at the clock and at the client of one request.

    Args:
        seconds: how long the request may take from now on.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.deadline = seconds, time.monotonic() + seconds
        self._gone = threading.Event()

    def leave(self) -> None:
        """The client has gone."""
        self._gone.set()

    @property
    def left(self) -> float:
        """How many seconds are left, at least none."""
        return max(0.0, self.deadline - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether there is no point in going on."""
        return self._gone.is_set() or time.monotonic() >= self.deadline

    def check(self) -> None:
        """Do nothing while somebody waits.

        Raises:
            Gone: the client has gone.
            Expired: the time is up.
        """
        if self._gone.is_set():
            raise Gone("the client has gone")
        if self.over:
            raise Expired(
                "the request took longer than a request may",
                expected=f"an answer within {self.seconds:g} seconds",
                got="none in that time",
                fix="send less text or ask for fewer beams, or raise the server's time limit",
            )
