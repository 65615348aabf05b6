"""``python -m backend``; see :mod:`backend.admin`."""

from __future__ import annotations

import sys

from backend.admin import main

if __name__ == "__main__":
    sys.exit(main())
