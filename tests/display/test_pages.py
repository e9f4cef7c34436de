"""What is displayed, on a page that is light or dark, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browsers import Browser, find_chromium
from test_representations import displayed  # noqa: F401 - a fixture

# What notebooks say of the tables in outputs, which must not undo what a card says of its own.
NOTEBOOK = """
.out table{border-collapse:collapse;font-size:12px;table-layout:fixed;margin:0 auto 1em}
.out td,.out th,.out tr{vertical-align:middle;padding:.5em;line-height:normal;text-align:right}
.out tbody tr:nth-child(odd){background:rgb(255,0,0)}
.out p{margin:0 0 1em}
body{background:#fff;color:#1b1b1b}
@media (prefers-color-scheme:dark){body{background:#111;color:#e0e0e0}}
"""
# For each text of a card its contrast with what is behind it, as WCAG measures it; the least.
CONTRAST = """
(() => {
  const rgba = text => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a]; };
  const over = ([r, g, b, a], [R, G, B]) =>
    [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const behind = one => one === null ? [255, 255, 255, 1]
    : over(rgba(getComputedStyle(one).backgroundColor), behind(one.parentElement));
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const cells = document.querySelectorAll(".codebatch-display :is(b,code,td,th,p,pre,.cb-badge)");
  return Math.min(...[...cells].map(one => {
    const style = getComputedStyle(one), back = behind(one), ink = rgba(style.color);
    ink[3] *= Number(style.opacity);
    const [a, b] = [light(over(ink, back)), light(back)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }));
})()
"""


def page_of(displayed: dict[str, Any]) -> str:  # noqa: F811 - the fixture
    found = [one._repr_html_() for one in displayed.values() if hasattr(one, "_repr_html_")]
    found.append(displayed["batch"].visualize()._repr_svg_())
    outputs = "".join(f'<div class="out">{html}</div>' for html in found)
    return f"<!doctype html><meta charset=utf-8><style>{NOTEBOOK}</style>{outputs}<i id=me>x</i>"


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_outputs_of_a_notebook(displayed: dict[str, Any], tmp_path: Path, *, dark: bool) -> None:  # noqa: F811
    page = tmp_path / "page.html"
    page.write_text(page_of(displayed), encoding="utf-8")
    with Browser() as browser:
        tab = browser.open(page, width=1000, dark=dark)
        assert tab.screenshot(tmp_path / "page.png", whole=True).stat().st_size > 10_000
        assert tab.evaluate("document.querySelectorAll('.codebatch-display').length") > 30
        assert tab.evaluate(CONTRAST) > 4.5
        wide = "document.documentElement.scrollWidth <= innerWidth"
        assert tab.evaluate(wide)
        tab.show_as(width=390, dark=dark)
        tab.settle()
        assert tab.evaluate(wide)
        # Nothing of a card reaches what is outside of it.
        style = "getComputedStyle(document.querySelector('#me'))"
        assert tab.evaluate(f"{style}.opacity + {style}.fontSize") == "116px"
        red = "getComputedStyle(document.querySelector('.cb-rows tbody tr')).backgroundColor"
        assert tab.evaluate(red) == "rgba(0, 0, 0, 0)"
        assert tab.problems == []
        assert tab.requests == []
