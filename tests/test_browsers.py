"""The driver of Chromium sees what a page does and is seen by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsers import Browser, BrowserError

PAGE = """<!doctype html><meta charset="utf-8"><title>page</title>
<style>@media (prefers-color-scheme: dark) { body { background: rgb(1, 2, 3) } }</style>
<input id="it"><button id="ok">go</button>
<script>
  const heard = [];
  it.addEventListener('keydown', event => heard.push(event.key));
  ok.addEventListener('click', () => heard.push('clicked'));
</script>"""
BAD = """<!doctype html><img src="http://127.0.0.1:9/none.png">
<script>console.error('said', 1); undefined.there;</script>"""


@pytest.mark.slow
def test_a_page_is_used_and_looked_at(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(PAGE)
    tab = browser.open(file, width=390, height=600, dark=True)
    assert tab.evaluate("[innerWidth, innerHeight, document.title]") == [390, 600, "page"]
    background = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(background) == "rgb(1, 2, 3)"
    tab.show_as(dark=False)
    assert tab.evaluate(background) != "rgb(1, 2, 3)"
    tab.click("#it")
    tab.press("a", "B", "ArrowLeft", "Backspace", "Tab", "Enter")
    assert tab.evaluate("heard") == ["a", "B", "ArrowLeft", "Backspace", "Tab", "clicked"]
    assert tab.evaluate("it.value") == "B"
    assert tab.screenshot(tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert tab.pdf().startswith(b"%PDF")
    with pytest.raises(BrowserError, match="ReferenceError"):
        tab.evaluate("nothing_there")
    assert (tab.problems, tab.requests) == ([], [])
    tab.close()


@pytest.mark.slow
def test_what_goes_wrong_in_a_page_is_kept(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    file.write_text(BAD)
    tab = browser.open(file)
    assert tab.requests == ["http://127.0.0.1:9/none.png"]
    text = "\n".join(tab.problems)
    assert "said 1" in text
    assert "TypeError" in text
    tab.close()
