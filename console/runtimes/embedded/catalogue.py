"""Reading ``services.json``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from console.decoding import decoder
from console.errors import Unreachable
from console.runtimes.embedded.specs import Catalogue


class CatalogueFile:
    """
    The catalogue of one stack, read again only when it changed.

    Args:
        path: ``services.json``; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, int], Catalogue] | None = None

    def read(self) -> Catalogue | None:
        """
        Return the catalogue, None when the stack was never set up.

        Raises:
            Unreachable: If it is damaged or cannot be read.
        """
        try:
            stat = self.path.stat()
            signature = (stat.st_mtime_ns, stat.st_ino)
            if self._read is None or self._read[0] != signature:
                decoded = decoder(Catalogue).decode(self.path.read_bytes())
                self._read = (signature, decoded)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise Unreachable(
                f"{self.path} cannot be read: {error}",
                unchanged="what runs goes on running",
                remedy=f"rm {self.path}, then fragrance start makes it anew; data stays",
            ) from error
        return self._read[1]
