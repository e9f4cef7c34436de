"""The notebooks of `examples/`, run and written with their outputs.

``python tests/notebooks.py [NAME...]`` runs them, each in an empty folder, and writes what they
give. What belongs to one machine or moment (paths, times, seconds) is written as one that belongs
to none.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
SECONDS = 300
# A cell with this tag gives something else where other versions of packages are installed.
VARIES = "varies"
_PUBLIC = (
    (re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?( UTC)?"), "2026-01-01 12:00"),
    (re.compile(r"\bjust now\b|\b\d+ [a-z]+ ago\b"), "just now"),
    (re.compile(r"\b\d+(\.\d+)? s\b"), "1 s"),
    (re.compile(r"(\bseconds\b[^0-9\n]{0,60})\d+(\.\d+)?"), r"\g<1>1.0"),
    (re.compile(r"\b\d+(\.\d+)? [KMG]iB in \d[\d,]* files"), "1 MiB in 100 files"),
    (re.compile(r"\b(tcp|tls|inproc)://[\w.:/-]+"), "tcp://127.0.0.1:8786"),
)
_BARS = re.compile(r"(\r?[^\r\n]*\| \d[\d,]*/\d[\d,]* \[[^\r\n]*\]\s*)+")  # how long a run took
# What follows from the versions of tools is compared by its form alone.
_FORMS = (
    (re.compile(r"\b(snap|batch)-[0-9a-f]{16}\b"), r"<\1>"),
    (re.compile(r"sha256:[0-9a-f]+"), "<digest>"),
    (re.compile(r"<svg.*?</svg>", re.DOTALL), "<drawing>"),
)


def run(notebook: Path) -> Any:
    """Return a notebook with what it gives in an empty folder; an error in a cell is raised."""
    with tempfile.TemporaryDirectory() as folder:  # a short name, which is shown as it is
        return _run(notebook, Path(folder))


def _run(notebook: Path, folder: Path) -> Any:
    document = nbformat.read(notebook, as_version=4)
    home = {"IPYTHONDIR": str(folder / ".ipython"), "COLUMNS": "100"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CODEBATCH_", "DASK_"))}
    client = NotebookClient(
        document,
        timeout=SECONDS,
        coalesce_streams=True,
        kernel_name="python3",
        resources={"metadata": {"path": folder}},
    )
    client.execute(env={**kept, **home})
    return published(document, folder)


def published(document: Any, folder: Path) -> Any:
    """Return a notebook without what belongs to one machine or moment."""
    document.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(document.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {key: cell.metadata[key] for key in ("tags",) if key in cell.metadata}
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if not _BARS.fullmatch(one.get("text", ""))]
        for output in cell.get("outputs", ()):
            output.pop("metadata", None)
            if "text" in output:
                output["text"] = public(output["text"], folder)
            if "data" in output:
                output["metadata"] = {}
                output["data"] = {
                    kind: public(data, folder) if kind.startswith("text/") else data
                    for kind, data in output["data"].items()
                }
    return document


def public(text: str, folder: Path) -> str:
    """Return a text without paths and times of this machine."""
    for place in map(str, {folder, folder.resolve()}):
        text = re.sub(rf"{re.escape(place)}/?(\S*)(?=(  )?)", _relative, text)
    for pattern, form in _PUBLIC:
        text = pattern.sub(form, text)
    return text


def _relative(found: re.Match[str]) -> str:
    """Return a path below the folder; where it is in a column, as wide as it was."""
    shown = found[1] or "."
    return shown.ljust(len(found[0])) if found[2] else shown


def outputs(document: Any) -> Iterator[tuple[int, bool, dict[str, str]]]:
    """Yield what each cell gives, by kind of data, with its number and whether it varies."""
    for number, cell in enumerate(document.cells):
        varies = VARIES in cell.metadata.get("tags", ())
        for output in cell.get("outputs", ()):
            data = output.get("data") or {
                output.get("name", output.output_type): output.get("text")
            }
            yield number, varies, {kind: "".join(text or "") for kind, text in data.items()}


def forms(document: Any) -> list[tuple[int, dict[str, str]]]:
    """Return what each cell gives in the form in which runs are compared. Of an image, and of a
    cell whose outputs vary, only that there is one.
    """
    return [
        (
            number,
            {
                kind: "" if varies or kind.startswith("image/") else form(text)
                for kind, text in data.items()
            },
        )
        for number, varies, data in outputs(document)
    ]


def form(text: str) -> str:
    """Return a text without ids and digests, and without the room that names of folders take."""
    for pattern, word in _FORMS:
        text = pattern.sub(word, text)
    return re.sub("  +", "  ", text)


def page(document: Any, *, stripped: bool = False) -> str:
    """Return the outputs of a notebook as a page, as a notebook shows them; ``stripped`` of style,
    as forges do.
    """
    shown = []
    for _, _, data in outputs(document):
        shown.append(_shown(data))
    body = "\n".join(shown)
    if stripped:
        body = re.sub(r"<style>.*?</style>| style=\"[^\"]*\"", "", body, flags=re.DOTALL)
    return f"{_HEAD}{body}"


def _shown(data: Mapping[str, str]) -> str:
    if "text/html" in data:
        return f"<div>{data['text/html']}</div>"
    if "image/svg+xml" in data:
        return f"<div>{data['image/svg+xml']}</div>"
    if "image/png" in data:
        return f'<img alt="figure" src="data:image/png;base64,{data["image/png"].strip()}">'
    text = data.get("text/plain") or data.get("stdout") or data.get("stderr") or ""
    return f"<pre>{text.replace('&', '&amp;').replace('<', '&lt;')}</pre>"


_HEAD = """<!doctype html><meta charset="utf-8"><title>outputs</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark }
body { font: 14px sans-serif; margin: 1em; background: #fff; color: #111 }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }
</style>
"""


def main(names: list[str]) -> None:
    """Run the notebooks that are named, or all, and write them."""
    for notebook in NOTEBOOKS:
        if not names or notebook.stem in names:
            nbformat.write(run(notebook), notebook)


if __name__ == "__main__":
    main(sys.argv[1:])
