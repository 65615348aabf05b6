"""
The one error tree of the console.

An error is what the operator reads at the worst moment, so each carries three
things: what happened, what was left unchanged, and what to type next.  Adapters
raise these ``from`` the vendor's exception; nothing above them knows a vendor.

    ConsoleError            1  failed, and the stack is back in its previous state
    ├── UsageError          2  the command line or a value is wrong
    ├── Refused             3  nothing changed: check, lock, capacity, capability
    │   ├── ReadOnly           write access is needed first
    │   ├── Busy               another operation runs or is unfinished
    │   └── NotSupported       this runtime cannot do that
    ├── Interrupted         4  can be resumed
    ├── Unreachable         5  something needed does not answer
    └── Frozen              6  failed, and needs a person
"""

from __future__ import annotations


class ConsoleError(Exception):
    """
    Base of every error that reaches the operator.

    Args:
        message: What happened, one sentence, no trailing full stop needed.
        unchanged: What was left as it was; empty when that is plain.
        remedy: What to type or look at next; empty when there is nothing.
    """

    exit_code = 1

    def __init__(self, message: str, *, unchanged: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.unchanged = unchanged
        self.remedy = remedy

    def lines(self) -> list[str]:
        """Return the error as the lines shown to the operator."""
        parts = [self.message]
        if self.unchanged:
            parts.append(f"unchanged: {self.unchanged}")
        if self.remedy:
            parts.append(f"next: {self.remedy}")
        return parts


class UsageError(ConsoleError):
    """The command line, a setting or a value is wrong."""

    exit_code = 2


class Refused(ConsoleError):
    """The request was understood and declined before anything changed."""

    exit_code = 3


class ReadOnly(Refused):
    """Write access is needed and has not been taken, or has expired."""


class Busy(Refused):
    """Another operation runs, or an unfinished one must be settled first."""


class NotSupported(Refused):
    """The runtime in use lacks the capability that was asked for."""


class Interrupted(ConsoleError):
    """The operation stopped midway and can be resumed."""

    exit_code = 4


class Unreachable(ConsoleError):
    """Something that is needed does not answer in time."""

    exit_code = 5


class Frozen(ConsoleError):
    """The operation and its undo both failed; a person must look."""

    exit_code = 6
