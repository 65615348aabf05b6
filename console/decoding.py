"""
Decoders of JSON into our dataclasses, each made once, by one thread at a time.

While msgspec learns the fields of a class it runs Python code, and keeps what it has so
far at the class: a second thread that asks for the same class meanwhile gets it half
learnt, and the process dies of a segmentation fault.  Once learnt it is safe everywhere.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import msgspec

T = TypeVar("T")

_learning = threading.Lock()
_made: dict[Any, Any] = {}


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return the decoder of *kind*; after that ``msgspec.convert`` may be given it as well."""
    found: msgspec.json.Decoder[T] | None = _made.get(kind)
    if found is None:
        import msgspec

        with _learning:
            found = _made.get(kind) or msgspec.json.Decoder(kind)
            _made[kind] = found
    return found
