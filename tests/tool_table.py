"""The table of packaged tools in the manual: ``python tests/tool_table.py`` writes it anew."""

from __future__ import annotations

from pathlib import Path

from codebatch.model.resources import list_tools, load_tool_document
from codebatch.tasks.tools.description import Description

PAGE = Path(__file__).parent.parent / "docs/tools.md"
HEAD = "| tool | looks for | languages | depends | to get it |\n|---|---|---|---|---|\n"


def rows() -> str:
    """The lines of the table, one for each packaged description."""
    return "".join(map(_row, list_tools()))


def _row(name: str) -> str:
    tool = Description.from_document(load_tool_document(name))
    languages = ", ".join(tool.files.get("languages", ())) or "by name"
    install = ", ".join(f"{by} `{what}`" for by, what in tool.install.items() if by != "see")
    summary = tool.summary.replace("|", "\\|")
    return f"| [{name}]({tool.link}) | {summary} | {languages} | {tool.depends} | {install} |\n"


if __name__ == "__main__":
    before = PAGE.read_text(encoding="utf-8").partition(HEAD)[0]
    PAGE.write_text(before + HEAD + rows(), encoding="utf-8")
