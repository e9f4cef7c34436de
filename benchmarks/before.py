"""The commit that a run is held against, as a folder in which its CodeBatch runs.

It is taken out of this repository and runs in this interpreter, with the same libraries: what is
compared is the code. Its modules are compiled before anything is timed, as installers do.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.commands import PYTHON, codebatch, run

_REPOSITORY = Path(__file__).parent.parent


def check_out(revision: str, folder: Path) -> Path:
    """Write the files of a revision of this repository into a new folder, and return it."""
    folder.mkdir()
    archive = folder / "archive.tar"
    run(["git", "archive", "--output", str(archive), revision], _REPOSITORY)
    run(["tar", "--extract", "--file", str(archive), "--directory", str(folder)])
    archive.unlink()
    run([PYTHON, "-m", "compileall", "-q", str(folder / "codebatch")])
    run(codebatch("--version", of=folder))
    return folder
