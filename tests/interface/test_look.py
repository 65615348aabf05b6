"""Themes can be read: enough contrast everywhere, and nothing said by colour alone."""

from __future__ import annotations

import pytest
from rich.color import ColorType
from rich.style import Style
from textual.color import Color

from console.domain.alerts import AlertSeverity, AlertState
from console.domain.services import Health
from console.domain.snapshot import Overall
from screens.ascii import in_ascii
from screens.look import THEMES, look_of, textual_theme
from screens.rendering import alert_sign, health_sign, overall_sign

#: What WCAG 2 asks of text of ordinary size (level AA).
ENOUGH = 4.5

COLOURED = [name for name in THEMES if name != "no-colour"]
MEANINGS = ("text", "dim", "strong", "good", "warn", "bad", "accent")


def luminance(colour: Color) -> float:
    """Return the relative luminance of WCAG 2, 0 for black to 1 for white."""
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour.rgb)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def ink(style: Style) -> Color:
    assert style.color is not None
    return Color.from_rich_color(style.color)


def ground(style: Style) -> Color:
    assert style.bgcolor is not None
    return Color.from_rich_color(style.bgcolor)


@pytest.mark.parametrize("theme", COLOURED)
@pytest.mark.parametrize("meaning", MEANINGS)
def test_every_text_can_be_read_wherever_it_may_stand(theme: str, meaning: str) -> None:
    look = look_of(theme)
    text = ink(getattr(look, meaning))
    page = textual_theme(theme).background
    assert page is not None
    places = {
        "page": Color.parse(page),  # reversed, as notices are, it is the same pair
        "bar": ground(look.bar),
        "selected line": ground(look.selected),
    }
    ratios = {place: round(contrast(text, colour), 2) for place, colour in places.items()}
    assert min(ratios.values()) >= ENOUGH, ratios


@pytest.mark.parametrize("theme", COLOURED)
def test_the_banner_of_production_can_be_read(theme: str) -> None:
    banner = look_of(theme).banner
    assert contrast(ink(banner), ground(banner)) >= ENOUGH


def test_no_colour_means_none() -> None:
    look = look_of("no-colour")
    for field in look.__slots__:
        style = getattr(look, field)
        for colour in (style.color, style.bgcolor):
            assert colour is None or colour.type is ColorType.DEFAULT


def test_a_state_is_told_by_its_glyph_too() -> None:
    look = look_of("no-colour")
    for drawn in (
        [health_sign(health, look)[0] for health in Health],
        [overall_sign(overall, look)[0] for overall in Overall],
        [
            *(alert_sign(severity, look)[0] for severity in AlertSeverity),
            alert_sign(AlertSeverity.CRITICAL, look, AlertState.PENDING)[0],
        ],
    ):
        assert len(set(drawn)) == len(drawn)
        in_poor = [in_ascii(glyph) for glyph in drawn]
        assert len(set(in_poor)) == len(in_poor)
