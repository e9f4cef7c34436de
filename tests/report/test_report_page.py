"""The page of a report in a browser: it works, asks for nothing, and runs nothing of a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsers import Browser, Tab
from conftest import write_tree
from report_samples import CANARY, HOSTILE, hostile_batch, large_batch

import codebatch
from codebatch.report import findings as finding

pytestmark = pytest.mark.slow

Opened = Callable[..., Tab]
MANY = 50_000
TREE = {
    "src/core/engine.py": "def f(a):\n" + "    if a: a = a\n" * 60 + "import os\n",
    "src/core/other.py": "import re\n" * 20,
    "src/web/app.js": "".join(f"export const f{n} = (a) => a ? 1 : 2;\n" for n in range(30)),
    "src/bad.py": "def broken(:\n",
    "lib/src/bad.py": "import os\n",
    "docs/read me.md": "a line   \n" * 50,
    "empty.txt": "",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a batch with a base and a history."""
    folder = tmp_path_factory.mktemp("small")
    trees = ({**TREE, "src/core/gone.py": "import json\n"}, TREE)
    old, new = (
        codebatch.scan(write_tree(folder / name, tree), folder / "store", scheduler="sync")[0]
        for name, tree in zip("ab", trees, strict=True)
    )
    new.report(folder / "page.html", base=old, history=[old])
    return folder / "page.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    written = large_batch(folder, MANY).report(folder / "page.html")
    assert written.written["findings"] == MANY
    return folder / "page.html"


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Opens pages, and looks that nothing went wrong in them and that they asked for nothing."""
    tabs: list[Tab] = []

    def open_page(file: Path, **shape: object) -> Tab:
        tabs.append(browser.open(file, **shape))  # type: ignore[arg-type]
        tabs[-1].settle()
        return tabs[-1]

    yield open_page
    for tab in tabs:
        assert (tab.problems, tab.requests) == ([], [])
        tab.close()


def texts(tab: Tab, selector: str) -> list[str]:
    found: list[str] = tab.evaluate(
        f"[...document.querySelectorAll({selector!r})].map(one => one.textContent)"
    )
    return found


def count(tab: Tab) -> str:
    return texts(tab, "#count")[0]


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_window(opened: Opened, small: Path, width: int, *, dark: bool) -> None:
    tab = opened(small, width=width, height=900, dark=dark)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    lightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    assert (tab.evaluate(lightness) < 128) is dark
    tab.click("#theme")
    assert (tab.evaluate(lightness) < 128) is not dark


def test_search_filters_and_sorting(opened: Opened, small: Path) -> None:
    tab = opened(small)
    whole = count(tab)
    tab.press("/", *"import")
    assert tab.evaluate("document.querySelector('#search').value") == "import"
    found = texts(tab, "#rows .row")
    assert found
    assert all("import" in row for row in found)
    assert count(tab) != whole
    tab.click("#reset")
    assert count(tab) == whole
    choose(tab, "#code", "L001")
    assert {code.strip() for code in texts(tab, "#rows code")} == {"L001"}
    tab.click("#reset")
    tab.click("#path")
    tab.type("docs/")
    assert all("read me.md" in place for place in texts(tab, "#rows .place"))
    tab.click("#reset")
    tab.click("[data-sort=place]")
    places = texts(tab, "#rows .place")
    assert [place.rpartition(":")[0] for place in places] == sorted(
        place.rpartition(":")[0] for place in places
    )
    tab.click("[data-sort=place]")
    assert texts(tab, "#rows .place")[0] > texts(tab, "#rows .place")[-1]
    tab.click("#severities input:not(:disabled)")
    assert "error" not in " ".join(texts(tab, "#rows .severity"))


def test_new_and_fixed_findings(opened: Opened, small: Path) -> None:
    tab = opened(small)
    assert not any("gone.py" in row for row in texts(tab, "#rows .row"))
    choose(tab, "#state", "fixed")
    (row,) = texts(tab, "#rows .row")
    assert "gone.py" in row
    assert "fixed" in row
    assert "import json" in texts(tab, "#detail")[0]


def choose(tab: Tab, selector: str, words: str) -> None:
    tab.evaluate(
        f"(() => {{ const it = document.querySelector({selector!r});"
        f" it.value = [...it.options].find(one => one.text.startsWith({words!r})).value;"
        " it.dispatchEvent(new Event('input', {bubbles: true}));"
        " it.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


def test_the_list_is_read_with_keys(opened: Opened, small: Path) -> None:
    tab = opened(small)
    tab.evaluate("document.querySelector('#list').focus()")
    first = texts(tab, "#detail .place")
    tab.press("ArrowDown", "ArrowDown")
    assert texts(tab, "#detail .place") != first
    chosen = "document.querySelector('#rows [aria-selected=true]')"
    assert tab.evaluate(f"{chosen}.getAttribute('aria-posinset')") == "3"
    active = "document.querySelector('#list').getAttribute('aria-activedescendant')"
    assert tab.evaluate(f"document.getElementById({active}) === {chosen}")
    tab.press("End")
    assert tab.evaluate(f"{chosen}.getAttribute('aria-posinset') === {chosen}.ariaSetSize")
    tab.press("Home", "ArrowUp")
    assert texts(tab, "#detail .place") == first


def test_the_map_is_entered_and_left(opened: Opened, small: Path) -> None:
    tab = opened(small)
    assert texts(tab, "#crumbs button") == ["all"]
    tab.click("#tiles .tile[aria-label^='src/,']")
    assert texts(tab, "#crumbs button") == ["all", "src"]
    tab.press("Escape")
    assert texts(tab, "#crumbs button") == ["all"]
    focused = "document.activeElement.getAttribute('aria-label').split(',')[0]"
    assert tab.evaluate(focused) == "src/"
    tab.press("Enter", "Enter")
    assert texts(tab, "#crumbs button")[:2] == ["all", "src"]
    assert len(texts(tab, "#crumbs button")) == 3
    here = tab.evaluate(focused)
    tab.press("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp")
    assert tab.evaluate("document.activeElement.className").startswith("tile")
    assert here.startswith("src/")
    tab.press("Home")
    assert texts(tab, "#crumbs button") == ["all"]
    tab.click("#tiles .tile[aria-label^='src/,']")
    tab.click("#crumbs button")
    assert texts(tab, "#crumbs button") == ["all"]
    choose(tab, "#heat", "Findings")
    assert "per" not in texts(tab, "#legend")[0]
    tab.click("#tile-said button")
    places = texts(tab, "#rows .place")
    assert places
    assert all(place.startswith("src/") for place in places)
    tab.click("#tiles .tile[aria-label^='src/,']")
    tab.click("#tiles .tile[aria-label^='src/bad.py,']")
    tab.click("#tile-said button")
    assert texts(tab, "#rows .place") == ["src/bad.py:1"]
    tab.click("#path")
    tab.press("End", "Backspace")
    assert {place.rpartition(":")[0] for place in texts(tab, "#rows .place")} == {
        "src/bad.py",
        "lib/src/bad.py",
    }


def test_codes_of_which_none_is_listed_are_no_links(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\nx = 1   \n"})
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    monkeypatch.setattr(finding, "MOST_FINDINGS", 1)
    batch.report(tmp_path / "page.html")
    tab = opened(tmp_path / "page.html")
    assert len(texts(tab, "#overview th code")) == 2
    (code,) = texts(tab, "a[data-code]")
    tab.click("a[data-code]")
    assert texts(tab, "#rows code") == [code]


def test_very_many_files_are_one_area(opened: Opened, tmp_path: Path) -> None:
    """And a batch without numbers of lines has a map of bytes."""
    tree = write_tree(tmp_path / "tree", {f"{n}.txt": "a" * (n % 90 + 1) for n in range(1200)})
    batch, _ = codebatch.scan(tree, tmp_path / "store", pipeline="parse", scheduler="sync")
    batch.report(tmp_path / "page.html")
    tab = opened(tmp_path / "page.html")
    assert tab.evaluate("document.querySelectorAll('.tile').length") == 1001
    (rest,) = tab.evaluate(
        "[...document.querySelectorAll('.tile')].map(one => one.ariaLabel)"
        ".filter(one => one.includes('smaller'))"
    )
    assert rest == "200 smaller ones, 1,530 bytes, 0 findings"
    assert texts(tab, "#heat option") == ["Findings"]


def test_a_batch_without_files(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    batch, _ = codebatch.scan(tmp_path / "tree", tmp_path / "store", scheduler="sync")
    batch.report(tmp_path / "page.html")
    tab = opened(tmp_path / "page.html")
    assert texts(tab, "#tiles") == ["Nothing here has a size."]
    assert texts(tab, "#findings p") == ["There are none."]


def test_tables_are_sorted_and_grow(opened: Opened, small: Path) -> None:
    tab = opened(small)
    body = "[data-table=functions] tbody"
    assert len(texts(tab, f"{body} tr")) == 15
    tab.click("[data-table=functions] .more")
    assert len(texts(tab, f"{body} tr")) == 31
    tab.click("[data-table=functions] th:first-child button")
    tab.click("[data-table=functions] th:first-child button")
    numbers = [int(text) for text in texts(tab, f"{body} td:first-child")]
    assert numbers == sorted(numbers)
    assert tab.evaluate("document.querySelector('[aria-sort]').ariaSort") == "ascending"


def test_it_is_printed(opened: Opened, small: Path) -> None:
    assert opened(small).pdf().startswith(b"%PDF")


def test_nothing_of_a_hostile_tree_is_run(opened: Opened, tmp_path: Path) -> None:
    batch = hostile_batch(tmp_path)
    page = tmp_path / "page.html"
    batch.report(page, title=HOSTILE[2], base=batch, history=[batch])
    for width in (1440, 390):
        tab = opened(page, width=width)
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert texts(tab, "h1") == [HOSTILE[2]]
        heads = texts(tab, "[data-record='0'] th")
        assert "zero" in heads
        assert "unknown" not in heads
        tab.evaluate("document.querySelector('#list').focus()")
        for _ in range(40):
            tab.press("ArrowDown")
            assert (
                tab.evaluate("document.querySelectorAll('#detail :is(img, svg, script)').length")
                == 0
            )
        links = tab.evaluate("[...document.querySelectorAll('a[target]')].map(one => one.href)")
        assert all(link.startswith("https://a.test/") for link in links)
        for name in ("<svg", "\"'><img", "</", "javascript:"):
            tab.click("#reset")
            tab.type(name)
            assert texts(tab, "#rows .row")
        tab.click(".tile[aria-label*='<']:not([aria-label*='.py'])")
        assert "<" in texts(tab, "#crumbs")[0]
        assert tab.evaluate(f"typeof window.{CANARY}") == "undefined"
        assert tab.evaluate("document.querySelectorAll('img, script').length") == 2
        shown = " ".join(texts(tab, "body"))
        assert "\u202e" not in shown


def test_many_findings_are_few_rows(opened: Opened, large: Path) -> None:
    assert large.stat().st_size < 5_000_000
    tab = opened(large)
    rows = "document.querySelectorAll('#rows .row').length"
    assert count(tab) == f"{MANY:,} findings"
    assert tab.evaluate(rows) < 50
    tab.evaluate("document.querySelector('#list').focus()")
    tab.press("End")
    assert tab.evaluate(rows) < 50
    last = tab.evaluate("document.querySelector('#rows [aria-selected=true]').ariaPosInSet")
    assert last == str(MANY)
    tab.click("#search")
    tab.press(*"value_7_")
    assert count(tab) == f"50 of {MANY:,} findings"
    assert tab.evaluate("document.querySelectorAll('*').length") < 8_000


CONTRAST = """(() => {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const read = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((one) => one / 255)
      .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = read(getComputedStyle(one).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  const poor = {};
  for (const element of document.querySelectorAll('body *')) {
    const texts = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
    if (!texts.length || !element.getClientRects().length || element.closest('script')) continue;
    const [a, b] = [light(read(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor[`${element.tagName} ${element.className}`] = ratio.toFixed(2);
  }
  return poor;
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_texts_stand_out(opened: Opened, small: Path, *, dark: bool) -> None:
    """By 4.5 to 1, as WCAG asks of AA."""
    tab = opened(small, dark=dark)
    assert tab.evaluate(CONTRAST) == {}
    choose(tab, "#heat", "Findings")
    assert tab.evaluate(CONTRAST) == {}


def test_all_that_is_used_can_be_reached_by_keys(opened: Opened, small: Path) -> None:
    """And has a name, and shows that it has the focus."""
    tab = opened(small)
    seen = []
    for _ in range(60):
        tab.press("Tab")
        described = tab.evaluate(
            "(() => { const it = document.activeElement; const style = getComputedStyle(it);"
            " return [it.id || it.className || it.tagName,"
            " !!(it.ariaLabel || it.textContent.trim() || it.labels?.length),"
            " style.outlineStyle !== 'none']; })()"
        )
        if described[0] == "BODY":
            break
        seen.append(described)
    assert [name for name, is_named, _ in seen if not is_named] == []
    assert [name for name, _, is_marked in seen if not is_marked] == []
    names = [name for name, *_ in seen]
    expected = ["theme", "heat", "search", "path", "code", "task", "state", "reset", "list"]
    assert [name for name in names if name in expected] == expected
    assert any(name.startswith("tile") for name in names)
