"""What a history costs: over releases of a package in scans, file by file in its unique blobs.

    python -m benchmarks.history --package django --commits 0
    python -m benchmarks.history --package sqlalchemy --commits 300

The repository is made from releases that are downloaded. With ``--commits 0`` there is one for each
release, and the history is held against one cold scan of the newest; else the files that change
from release to release are committed in portions, and the history is held against one scan of a
folder in which each blob of the repository is a file. Wall time and processor time of whole
commands, in turns.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.commands import codebatch, costs, settle

sys.path.append(str(Path(__file__).parent.parent / "tests"))
import histories

PACKAGES = {"click": histories.CLICK, "django": histories.DJANGO}
PACKAGES |= {"sqlalchemy": histories.SQLALCHEMY, "sympy": histories.SYMPY}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line for each turn and one for the medians of the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--package", choices=PACKAGES, default="sqlalchemy")
    parser.add_argument("--commits", type=int, default=300, help="0: one for each release")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="where to work; default: the temporary folder")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as folder:
        _measure(Path(folder), chosen.package, chosen.commits, chosen.repeat)


def _measure(folder: Path, package: str, commits: int, repeat: int) -> None:
    found = histories.releases(package, PACKAGES[package])
    if commits:
        repository = histories.file_by_file(folder / "tree", found, commits)
        other, what = _blobs(folder / "blobs", found), "one scan of its unique blobs"
    else:
        repository = histories.one_by_one(folder / "tree", found)
        other, what = repository.folder, "one cold scan"
    print(
        f"{package}: {len(found)} releases, {len(repository.commits)} revisions, "
        f"{len(found[-1].files):,} files in the newest, "
        f"{len({data for one in found for data in one.files.values()}):,} unique blobs"
    )
    ratios = []
    for turn in range(repeat):
        walk = ("history", repository.folder, "--every", "1", "--format", f"csv:{folder}/trend.csv")
        settle()
        ours = costs(codebatch(*walk, "--store", folder / f"history-{turn}"))
        settle()
        theirs = costs(codebatch("scan", other, "--quiet", "--store", folder / f"scan-{turn}"))
        ratios.append([one / two for one, two in zip(ours, theirs, strict=True)])
        words = (f"{wall:.1f} s ({cpu:.1f} s of processor)" for wall, cpu in (ours, theirs))
        print(" / ".join(words))
    wall, cpu = (median(one) for one in zip(*ratios, strict=True))
    print(f"history / {what}: {wall:.2f} (processor: {cpu:.2f})")


def _blobs(folder: Path, found: Sequence[histories.Release]) -> Path:
    """Write each content that a file has in any release once, under a path that it has."""
    paths = {data: path for one in found for path, data in one.files.items()}
    for number, (data, path) in enumerate(paths.items()):
        target = folder / f"{number:05d}" / path
        target.parent.mkdir(parents=True)
        target.write_bytes(data)
    return folder


if __name__ == "__main__":
    main()
