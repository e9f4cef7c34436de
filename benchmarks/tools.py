"""Time tools as tasks against one direct call of each, on one tree, in turns.

    python -m benchmarks.tools path/to/tree ruff bandit codespell --repeat 3

The direct call is the command of the description over the same files, in a copy of the tree, with
the network that everybody has; its output is written, and not read. A cold scan makes a store,
takes the snapshot, runs the tool and keeps what it says; then one file is edited.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.commands import codebatch, environment, require, run, settle
from benchmarks.corpus import copy_tree, edited, files_below, remove
from codebatch.tasks.languages.detect import HEAD_BYTES, detect_language
from codebatch.tasks.tools.catalogue import described, load_tool
from codebatch.tasks.tools.description import Description
from codebatch.tasks.tools.program import find_program, version_of
from codebatch.tasks.tools.selection import is_selected


def main() -> int:
    """Print a line for each tool: seconds of each kind, and their ratios to the direct call."""
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(arguments.tree, Path(folder, "tree"))
        print("tool                 direct    cold  ratio  one file  of cold")
        for name in arguments.tools:
            tool = described(load_tool(name).config)
            print(_line(tool, tree, Path(folder), arguments.repeat), flush=True)
    return 0


def _line(tool: Description, tree: Path, folder: Path, repeat: int) -> str:
    version = version_of(tool)
    require(find_program(tool.program), f"{tool.name} is not installed")
    targets = [path for path in files_below(tree) if _is_given(tool, tree, path)]
    require(targets, f"{tool.name} is given no file")
    names = [path.relative_to(tree).as_posix() for path in targets]
    taken: list[tuple[float, float, float]] = []
    for number in range(repeat):
        store = folder / f"store{number}"
        scan = codebatch("scan", tree, "--tool", tool.name, "--store", store, "--quiet")
        settle()
        direct = _direct(tool, tree, names, folder)
        settle()
        cold = run(scan).seconds
        with edited([targets[len(targets) // 2]], f"edit_{number}"):
            settle()
            taken.append((direct, cold, run(scan).seconds))
        remove(store)
    direct, cold, one = (median(column) for column in zip(*taken, strict=True))
    said = f"{len(names)} files, {version}"
    return (
        f"{tool.name:18} {direct:7.2f} {cold:7.2f} {cold / direct:6.2f} {one:9.2f} "
        f"{one / cold:8.3f}  {said}"
    )


def _is_given(tool: Description, tree: Path, path: Path) -> bool:
    name = path.relative_to(tree).as_posix()
    with path.open("rb") as stream:
        return is_selected(tool, detect_language(name, lambda: stream.read(HEAD_BYTES)), name)


def _direct(tool: Description, tree: Path, names: list[str], folder: Path) -> float:
    """Return the seconds of one call; ``xargs`` cuts it where the files are too many words."""
    listed = folder / "arguments"
    listed.write_text("".join(f"{name}\n" for name in names))
    places = {"${argfile}": str(listed), "${dir}": ".", "${output}": str(folder / "written")}
    words = [find_program(tool.program)]
    for word in tool.run[1:]:
        if word == "${target}":
            words = ["xargs", "-a", str(listed), "-d", "\\n", *words]
            continue
        for place, value in places.items():
            word = word.replace(place, value)  # noqa: PLW2901
        words.append(word)
    with open(os.devnull, "wb") as nothing:
        began = time.perf_counter()
        subprocess.run(
            words,
            cwd=tree,
            env={**environment(), **tool.variables},
            stdin=subprocess.DEVNULL,
            stdout=nothing,
            stderr=nothing,
            check=False,
        )
        return time.perf_counter() - began


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("tools", nargs="+")
    parser.add_argument("--repeat", type=int, default=3)
    return parser


if __name__ == "__main__":
    sys.exit(main())
