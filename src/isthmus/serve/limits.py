"""What one client may ask for, and how much the server takes on."""

from __future__ import annotations

from pydantic import Field

from isthmus.core.config import Config


class Limits(Config):
    """The limits of a server.

    Attributes:
        body: the most bytes of a request.
        characters: the most characters of a text.
        texts: the most texts of a request.
        beams: the most beams of a search, and the most outputs of a text.
        queue: how many requests may be in work or wait; more are refused (503).
        seconds: how long a request may take; then its decoding is stopped (504).
        rows: how many beams of all clients are decoded at a time.
        gather: for how many milliseconds a search waits for others that could begin with it.
    """

    body: int = Field(default=1 << 20, ge=1024)
    characters: int = Field(default=5000, ge=1)
    texts: int = Field(default=32, ge=1)
    beams: int = Field(default=16, ge=1)
    queue: int = Field(default=256, ge=1)
    seconds: float = Field(default=30.0, gt=0)
    rows: int = Field(default=320, ge=1)
    gather: float = Field(default=3.0, ge=0)
