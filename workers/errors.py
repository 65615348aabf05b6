"""The error that both kinds of worker share."""

from __future__ import annotations


class CannotServe(Exception):
    """Something a worker needs before its first task is missing or broken; says which."""
