"""
How things look: styles by meaning, one set a theme, and what a poor terminal gets.

A screen names a meaning (``look.bad``), never a colour; words and glyphs carry
every meaning too, so that the no-colour theme loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import BUILTIN_THEMES, Theme


@dataclass(frozen=True, slots=True)
class Look:
    """Rich styles by what they mean."""

    text: Style
    dim: Style
    strong: Style
    good: Style
    warn: Style
    bad: Style
    accent: Style
    selected: Style
    banner: Style
    bar: Style


@dataclass(frozen=True, slots=True)
class _Ink:
    background: str
    surface: str
    foreground: str
    dim: str
    good: str
    warn: str
    bad: str
    accent: str
    selection: str
    banner: str
    banner_text: str
    dark: bool = True


_INKS: dict[str, _Ink] = {
    "dark": _Ink(
        background="#0f1318",
        surface="#1a2028",
        foreground="#d3d9e0",
        dim="#939eac",
        good="#6fbf83",
        warn="#e3b341",
        bad="#ff7b72",
        accent="#79b8ff",
        selection="#2a3543",
        banner="#9f1d20",
        banner_text="#ffffff",
    ),
    "light": _Ink(
        background="#fbfbf9",
        surface="#ecece8",
        foreground="#24292f",
        dim="#5b636d",
        good="#15702f",
        warn="#8a5a00",
        bad="#c0262d",
        accent="#0757b8",
        selection="#dbe4ee",
        banner="#b3261e",
        banner_text="#ffffff",
        dark=False,
    ),
    # Okabe and Ito's palette: told apart with any of the common colour blindnesses.  Its
    # purple is lightened a little, to be read on a selected line too.
    "colour-blind": _Ink(
        background="#0f1318",
        surface="#1a2028",
        foreground="#e0e0e0",
        dim="#9aa0a9",
        good="#56b4e9",
        warn="#f0e442",
        bad="#e69f00",
        accent="#d888b3",
        selection="#2a3543",
        banner="#d55e00",
        banner_text="#000000",
    ),
}

#: Themes by name, in the order in which a key goes through them.
THEMES = (*_INKS, "no-colour")


def look_of(theme: str) -> Look:
    """Return the styles of *theme*, one of :data:`THEMES`."""
    if theme == "no-colour":
        return Look(
            text=Style(),
            dim=Style(dim=True),
            strong=Style(bold=True),
            good=Style(),
            warn=Style(bold=True),
            bad=Style(bold=True),
            accent=Style(underline=True),
            selected=Style(reverse=True),
            banner=Style(bold=True, reverse=True),
            bar=Style(),
        )
    ink = _INKS[theme]
    return Look(
        text=Style(color=ink.foreground),
        dim=Style(color=ink.dim),
        strong=Style(color=ink.foreground, bold=True),
        good=Style(color=ink.good),
        warn=Style(color=ink.warn),
        bad=Style(color=ink.bad, bold=True),
        accent=Style(color=ink.accent),
        selected=Style(bgcolor=ink.selection, bold=True),
        banner=Style(color=ink.banner_text, bgcolor=ink.banner, bold=True),
        bar=Style(bgcolor=ink.surface),
    )


def textual_theme(theme: str) -> Theme:
    """Return Textual's side of *theme*: backgrounds and input fields."""
    if theme == "no-colour":
        return replace(BUILTIN_THEMES["ansi-dark"], name=theme)
    ink = _INKS[theme]
    return Theme(
        name=theme,
        primary=ink.accent,
        warning=ink.warn,
        error=ink.bad,
        success=ink.good,
        accent=ink.accent,
        foreground=ink.foreground,
        background=ink.background,
        surface=ink.surface,
        panel=ink.surface,
        dark=ink.dark,
    )


class WithoutColour(LineFilter):
    """Take every colour out and leave bold, dim, underline and reverse."""

    _DEFAULT = Style.from_color(RichColor.parse("default"), RichColor.parse("default"))

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return *segments* in the terminal's own two colours."""
        del background
        return [
            Segment(text, None if style is None else style + self._DEFAULT, control)
            for text, style, control in segments
        ]
