"""
A reel of the film: one file of pictures, the first whole, each other as what changed.

    head     magic, seconds between two pictures
    record   when it was taken, length, CRC-32, zlib of the JSON of its delta

What cannot be read ends the reel there: a torn tail costs its own picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from console.decoding import decoder
from console.domain.film import delta, developed
from console.domain.snapshot import SCHEMA_VERSION, Snapshot
from console.errors import Unreachable

#: Another version of the format has another.
MAGIC = b"FRFILM01"
_HEAD = struct.Struct(">8sd")
_RECORD = struct.Struct(">dII")
#: No picture is longer than this, packed or not: what says so is damaged.
MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reel:
    """
    One file, ``NUMBER-MILLISECONDS.reel``: known by its name, whatever is in it.

    Args:
        path: The file.
        number: Its place in the order of writing; the clock may be set back, this is not.
        first: When its first picture was taken, to the millisecond below.
    """

    path: Path
    number: int
    first: datetime

    @classmethod
    def named(cls, directory: Path, number: int, at: datetime) -> Reel:
        """Return the reel of that number whose first picture was taken *at*."""
        milliseconds = int(at.timestamp() * 1000)
        path = directory / f"{number:08d}-{milliseconds}.reel"
        return cls(path, number, datetime.fromtimestamp(milliseconds / 1000, UTC))


def reels_in(directory: Path) -> list[Reel]:
    """Return the reels of *directory* in the order of writing; what else lies there is not ours."""
    found = []
    for path in directory.glob("*.reel"):
        number, _, milliseconds = path.stem.partition("-")
        if number.isdecimal() and milliseconds.isdecimal() and len(milliseconds) < 15:
            at = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
            found.append(Reel(path, int(number), at))
    return sorted(found, key=lambda reel: reel.number)


def head(every_seconds: float) -> bytes:
    """Return what a reel begins with."""
    return _HEAD.pack(MAGIC, every_seconds)


def record(before: Any, picture: Any, at: datetime) -> bytes:
    """Return the record of *picture*, taken *at*, after the picture *before* on the same reel."""
    import msgspec

    body = zlib.compress(msgspec.json.encode(delta(before, picture)))
    return _RECORD.pack(at.timestamp(), len(body), zlib.crc32(body)) + body


@dataclass(slots=True)
class Spool:
    """
    What could be read of a reel.

    Args:
        length: Of the file when it was read.
        every_seconds: Between two of its pictures, where nothing happened.
        records: When each picture was taken, and its packed delta.
    """

    length: int
    every_seconds: float
    records: list[tuple[datetime, bytes]]
    _developed: list[Any] = field(default_factory=list)

    def picture(self, index: int) -> Snapshot:
        """
        Return one picture.

        Raises:
            Unreachable: If another version took it.
        """
        import msgspec

        taken = self.records[index][0]
        try:
            while len(self._developed) <= index:
                before = self._developed[-1] if self._developed else None
                change = msgspec.json.decode(zlib.decompress(self.records[len(self._developed)][1]))
                self._developed.append(developed(before, change))
            decoder(Snapshot)  # whoever is first must be alone
            snapshot = msgspec.convert(self._developed[index], Snapshot)
        except (LookupError, TypeError, ValueError, zlib.error) as error:
            raise _of_another_version(taken) from error
        if snapshot.schema_version != SCHEMA_VERSION:
            raise _of_another_version(taken)
        return snapshot


def read_reel(reel: Reel) -> Spool:
    """
    Read a reel as far as it is whole; one that has gone, or is nothing, is empty.

    Raises:
        Unreachable: If another version of the console wrote it, or it may not be read.
    """
    try:
        raw = reel.path.read_bytes()
    except FileNotFoundError:
        return Spool(0, 0.0, [])  # too old meanwhile
    except OSError as error:
        raise Unreachable(f"cannot read {reel.path}: {error.strerror}") from error
    if len(raw) < _HEAD.size:
        return Spool(len(raw), 0.0, [])
    magic, every_seconds = _HEAD.unpack_from(raw)
    if magic != MAGIC and magic.startswith(MAGIC[:6]):
        raise _of_another_version(reel.first)
    records = list(_records(raw)) if magic == MAGIC else []
    return Spool(len(raw), every_seconds, records)


def _records(raw: bytes) -> Iterator[tuple[datetime, bytes]]:
    place = _HEAD.size
    while place + _RECORD.size <= len(raw):
        at, length, check = _RECORD.unpack_from(raw, place)
        place += _RECORD.size
        body = raw[place : place + length]
        if length > MOST_BYTES or len(body) < length or zlib.crc32(body) != check:
            return
        yield datetime.fromtimestamp(at, UTC), body
        place += length


def _of_another_version(at: datetime) -> Unreachable:
    return Unreachable(
        f"what was kept of {at:%Y-%m-%d %H:%M:%S} UTC is of another version of the console",
        remedy="look at it with that version; what is kept from now on is of this one",
    )
