"""Drawings of pipelines: as text, and as SVG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from conftest import Outcome

from codebatch.display.draw import Node, draw_svg, draw_text

Main = Callable[..., Outcome]
SVG = "{http://www.w3.org/2000/svg}"

NODES = [
    Node("parse", "", ()),
    Node("analyze", "", ("parse",)),
    Node("symbols", "", ("parse",)),
    Node("lint", "", ("parse",)),
    Node("todos", "", ()),
    Node("deep", "", ("analyze", "todos")),
    Node("hotspots", " (batch)", ("analyze", "symbols", "lint")),
    Node("all", "", ("parse", "hotspots")),
]
TEXT = """\
●  parse
├─●  analyze
├─│─●  symbols
├─│─│─●  lint
│ │ │ │ ●  todos
│ ├─│─│─┴─●  deep
│ └─┴─┴─●  hotspots (batch)
└───────┴─●  all
"""


def test_text() -> None:
    assert "\n".join([*draw_text(NODES), ""]) == TEXT
    plain = "\n".join(draw_text(NODES, ascii_only=True))
    assert plain.isascii()
    assert plain.splitlines()[1] == "+-*  analyze"
    assert list(draw_text([Node("a", "", ())])) == ["●  a"]


def test_what_meets_the_line_of_a_task_is_what_it_needs() -> None:
    """Read off the text: each column belongs to the task that last had its sign there."""
    owners: dict[int, str] = {}
    for line, node in zip(draw_text(NODES), NODES, strict=True):
        signs = line[: line.index("●") + 1]
        needs = {owners[place] for place, sign in enumerate(signs) if sign in "├└┼┴"}
        assert needs == set(node.needs)
        owners[signs.index("●")] = node.id


def test_svg_is_well_formed_and_holds_every_task_and_arrow() -> None:
    text = draw_svg("a <b> & c", [*NODES, Node("x<y", " & z", ("all",))])
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert {one.tag.removeprefix(SVG) for one in root.iter()} == {
        *("svg", "title", "style", "path", "g", "rect", "text")
    }
    labels = [one.text for one in root.iter(f"{SVG}text")]
    assert labels == [*(node.id + node.note for node in NODES), "x<y & z"]
    arrows = [one for one in root.iter(f"{SVG}path") if one.get("class") != "head"]
    assert len(arrows) == sum(len(node.needs) for node in NODES) + 1
    boxes = list(root.iter(f"{SVG}rect"))
    width, height = (int(root.attrib[name]) for name in ("width", "height"))
    for box in boxes:
        x, y = int(box.attrib["x"]), int(box.attrib["y"])
        assert 0 <= x <= width - int(box.attrib["width"])
        assert 0 <= y <= height - int(box.attrib["height"])
    assert text == draw_svg("a <b> & c", [*NODES, Node("x<y", " & z", ("all",))])


def test_command(tmp_path: Path, main: Main) -> None:
    done = main("pipeline", "full", "--draw")
    assert done.out == "●  parse\n├─●  analyze\n├─●  symbols\n└─●  lint\n"
    assert main("pipeline", "full", "--draw", "svg").out.startswith("<svg ")
    main("pipeline", "full", "--draw", f"svg:{tmp_path / 'p.svg'}")
    assert ET.parse(tmp_path / "p.svg").getroot().tag == f"{SVG}svg"
    assert main("pipeline", "full", "--draw=jpg").code == 2
    assert main("pipeline", "full", "--draw", "--json").code == 2
    assert main("pipeline", "--task", "lint", "--draw").out == "●  parse\n└─●  lint\n"
