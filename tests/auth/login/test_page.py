"""What a person sees when a sign-in has ended: readable in light and dark, and nothing that is loaded."""

from __future__ import annotations

import re

import pytest

from appserver.auth.login.page import HEADERS, Look, page

READABLE = 4.5
"""Contrast of text to what is behind it, at least (WCAG 2.2, 1.4.3)."""

PALETTES = re.findall(r":root \{[^}]*?--page[^}]*\}", page(Look.DONE, "t").decode())


def colours(palette: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): #(\w+)", palette))


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_there_is_a_palette_for_light_and_one_for_dark() -> None:
    light, dark = map(colours, PALETTES)
    assert set(light) == set(dark)
    assert luminance(light["card"]) > 0.5 > luminance(dark["card"])


@pytest.mark.parametrize("palette", PALETTES, ids=["light", "dark"])
@pytest.mark.parametrize("name", ["text", "quiet", "done", "failed", "expired"])
def test_everything_can_be_read_on_the_card(palette: str, name: str) -> None:
    assert contrast(colours(palette)[name], colours(palette)["card"]) >= READABLE


@pytest.mark.parametrize("look", Look)
def test_each_end_has_a_look_of_its_own(look: Look) -> None:
    shown = page(look, "Title", "Text").decode()
    assert f'<main class="{look.name.lower()}">' in shown
    assert f".{look.name.lower()} svg" in shown
    assert [other for other in Look if other.value in shown] == [look]


def test_a_line_does_not_break_within_sign_in() -> None:
    assert "<p>Another sign&#8209;in.</p>" in page(Look.EXPIRED, "Title", "Another sign-in").decode()


def test_title_and_text_may_hold_anything() -> None:
    shown = page(Look.FAILED, "<b>&", '"><img src=x onerror=alert(1)>', "{style}").decode()
    assert "<b>" not in shown
    assert "<img" not in shown
    assert "{style}." in shown


@pytest.mark.parametrize(("text", "shown"), [("No", "No."), ("No.", "No."), ("Why?", "Why?")])
def test_a_text_ends_as_a_sentence(text: str, shown: str) -> None:
    assert f"<p>{shown}</p>" in page(Look.FAILED, "t", text).decode()


def test_the_policy_allows_the_pages_own_style_and_nothing_else() -> None:
    policy = dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; "))
    style = policy.pop("style-src")
    assert re.fullmatch(r"'sha256-[\w+/=]+'", style)
    assert set(policy.values()) == {"'none'"}
