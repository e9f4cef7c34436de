"""Code of a user for tests: files in a folder that is on no path, and cells of a notebook."""

from __future__ import annotations

import linecache
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from codebatch.model.keys import changed_components
from codebatch.tasks.code import Code, describe, load_object

TASK = """\
import codebatch
{imports}

@codebatch.task(version=1)
def count(file: codebatch.File):
    {body}
    yield codebatch.Metric("count", number())
"""
HELPER = "def number() -> int:\n    return 1\n"


class Project:
    """Files of a user in a folder that is on no path, with a package of a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = "p_" + re.sub(r"\W", "_", folder.name)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files; ``PKG`` in a name or text stands for the package."""
        for name, text in files.items():
            path = self.folder / name.replace("PKG", self.package)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("PKG", self.package))

    def install(self, name: str, version: str) -> None:
        """Make the files of a module or package below ``site-packages`` those of a distribution."""
        folder = self.folder / "site-packages"
        info = f"{name}_distribution-{version}.dist-info"
        files = [path.relative_to(folder).as_posix() for path in folder.glob(f"{name}/**/*.py")]
        record = "".join(f"{file},,\n" for file in [*files, f"{info}/METADATA", f"{info}/RECORD"])
        metadata = f"Metadata-Version: 2.1\nName: {name}-distribution\nVersion: {version}\n"
        self.write({f"site-packages/{info}/METADATA": metadata})
        self.write({f"site-packages/{info}/RECORD": record})
        points = f"[codebatch.tasks]\n{name}_count = {name}.tasks:count\n"
        self.write({f"site-packages/{info}/entry_points.txt": points})

    def load(self, place: str) -> Any:
        """Load a task by the place of its file."""
        return load_object(str(self.folder / place.replace("PKG", self.package)))

    def code(self, place: str = "PKG/tasks.py:count") -> Code:
        """Return the code of a task as it is now."""
        return describe(self.load(place))

    def changes(self, before: Code, after: Code) -> list[str]:
        """Return what `plan` would name."""
        return changed(before, after, self.package)


def changed(before: Code, after: Code, package: str = "PKG") -> list[str]:
    parts = ({"code": code.as_document()} for code in (before, after))
    return [name.replace(package, "PKG") for name in changed_components(*parts)]


class Notebook:
    """Cells that run in one namespace, each with its source in `linecache` as IPython has it."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self._cells = 0

    def run(self, source: str) -> Any:
        """Run a cell and return what it calls ``task``."""
        self._cells += 1
        name = f"/tmp/ipykernel_{os.getpid()}/{self._cells}.py"
        lines = source.splitlines(keepends=True)
        linecache.cache[name] = (len(source), None, lines, name)
        exec(compile(source, name, "exec"), self.names)
        return self.names.get("task")


def running_notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """A notebook, which is the main module meanwhile; to be made a fixture."""
    notebook = Notebook()
    main = ModuleType("__main__")
    main.__dict__.update(notebook.names)
    notebook.names = main.__dict__
    monkeypatch.setitem(sys.modules, "__main__", main)
    yield notebook
    for name in [one for one in linecache.cache if "ipykernel_" in one]:
        del linecache.cache[name]


CELL = """\
import codebatch
@codebatch.task(version=1)
def task(file):
    {body}
    yield codebatch.Metric("words", {value})
"""
