"""The bytes of a SentencePiece model: a protocol buffer whose repeated field 1 are the pieces, in the order of their ids.

Each field is a tag (a varint), a length (a varint) and that many bytes; a piece begins with its own field 1, its name.
SentencePiece always puts control pieces before the user's; a vocabulary has another order, and padding at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_FIELD_1 = 0x0A


def piece_names(model: bytes) -> list[str]:
    """The names of all pieces, in the order of their ids.

    Raises:
        ValueError, IndexError: the bytes are no SentencePiece model.
    """
    return [_name(content) for tag, content, _ in _fields(model) if tag == _FIELD_1]


def arranged(model: bytes, first: Sequence[str], last: Sequence[str], movable: Sequence[str]) -> bytes:
    """The model with the pieces `first` at the start and `last` at the end, the others in their order between.

    Pieces named in `movable` that are not in `last` are left out.
    """
    fields = list(_fields(model))
    pieces = {_name(content): whole for tag, content, whole in fields if tag == _FIELD_1}
    placed = {*first, *movable}
    between = [name for name in pieces if name not in placed]
    rest = [whole for tag, _, whole in fields if tag != _FIELD_1]
    return b"".join([*(pieces[name] for name in (*first, *between, *last)), *rest])


def _name(piece: bytes) -> str:
    tag, content, _ = next(_fields(piece))
    if tag != _FIELD_1:
        raise ValueError("a piece has no name")
    return content.decode()


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Tag, content and whole bytes of each field that has a length; the fields before any that has none."""
    start = 0
    while start < len(message):
        tag, length_at = _varint(message, start)
        length, content_at = _varint(message, length_at)
        end = content_at + length
        if tag & 7 != 2 or end > len(message):
            raise ValueError(f"broken field at byte {start}")
        yield tag, message[content_at:end], message[start:end]
        start = end


def _varint(message: bytes, start: int) -> tuple[int, int]:
    """The number written at `start`, seven bits a byte, lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[start]
        value |= (byte & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if byte < 0x80:
            return value, start
