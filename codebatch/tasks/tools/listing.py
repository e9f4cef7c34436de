"""The packaged tools, with what of them is installed here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from codebatch.display.displayed import Rows
from codebatch.model.resources import list_tools, load_tool_document
from codebatch.tasks.tools.description import Description
from codebatch.tasks.tools.program import MISSING, UNKNOWN, version_of, ways_to_install

_AT_ONCE = 4


def tools() -> Rows[dict[str, Any]]:
    """Return the tools that have a packaged description, by name: what each is for, the languages
    it is given, what its findings depend on, its version here, None where it is not installed, and
    the commands that get it.
    """
    found = [Description.from_document(load_tool_document(name)) for name in list_tools()]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        versions = threads.map(version_of, found)
    rows = [
        {
            "name": one.name,
            "summary": one.summary,
            "languages": list(one.files.get("languages", ())),
            "depends": one.depends,
            "version": None if version in (MISSING, UNKNOWN) else version,
            "install": ways_to_install(one),
            "link": one.link,
        }
        for one, version in zip(found, versions, strict=True)
    ]
    return Rows(rows, ("name", "summary", "languages", "version"))
