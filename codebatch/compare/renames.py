"""Which files of one batch are files of another under a new name.

The same object under another path is a rename; so are two files of one language of which more
than half is the same lines. Lines are found through an index from line to files, so that the
cost grows with what the files share and not with the number of pairs.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from codebatch.model.records import InputFile, path_key

SIMILARITY = 0.5
MAX_BYTES = 2 * 2**20
# A line that very many files have ("    return None") says nothing about a rename.
_COMMON_PAIRS = 2500
_OPAQUE = frozenset({"binary", "symlink"})

ReadObject = Callable[[str, int], bytes]


class Rename(NamedTuple):
    """One file under its old and its new path."""

    old: str
    new: str


def find_renames(
    removed: Sequence[InputFile], added: Sequence[InputFile], read: ReadObject
) -> list[Rename]:
    """Pair files that are only in the old batch with files that are only in the new one."""
    exact = _same_objects(removed, added)
    old_paths, new_paths = {r.old for r in exact}, {r.new for r in exact}
    similar = _similar(
        [file for file in removed if file.path not in old_paths],
        [file for file in added if file.path not in new_paths],
        read,
    )
    return sorted([*exact, *similar], key=lambda rename: path_key(rename.old))


def _same_objects(removed: Sequence[InputFile], added: Sequence[InputFile]) -> list[Rename]:
    """Equal objects in path order, those that keep their base name first."""
    named = _paired(removed, added, lambda file: (file.object, _name(file.path)))
    old_paths, new_paths = {r.old for r in named}, {r.new for r in named}
    others = _paired(
        [file for file in removed if file.path not in old_paths],
        [file for file in added if file.path not in new_paths],
        lambda file: (file.object,),
    )
    return [*named, *others]


def _paired(
    removed: Sequence[InputFile],
    added: Sequence[InputFile],
    key: Callable[[InputFile], tuple[str, ...]],
) -> list[Rename]:
    """Pair files with equal keys one to one, in path order."""
    waiting: dict[tuple[str, ...], deque[str]] = defaultdict(deque)
    for file in _ordered(added):
        waiting[key(file)].append(file.path)
    return [
        Rename(file.path, waiting[key(file)].popleft())
        for file in _ordered(removed)
        if waiting.get(key(file))
    ]


def _similar(
    removed: Sequence[InputFile], added: Sequence[InputFile], read: ReadObject
) -> list[Rename]:
    old = [file for file in _ordered(removed) if _is_comparable(file)]
    new = [file for file in _ordered(added) if _is_comparable(file)]
    if not old or not new:
        return []
    scored = [
        (-shared / max(old[i].size, new[j].size, 1), i, j)
        for (i, j), shared in _shared_bytes(old, new, read).items()
        if old[i].language == new[j].language
    ]
    found: dict[int, int] = {}
    taken: set[int] = set()
    for score, i, j in sorted(scored):
        if -score > SIMILARITY and i not in found and j not in taken:
            found[i] = j
            taken.add(j)
    return [Rename(old[i].path, new[j].path) for i, j in found.items()]


def _shared_bytes(
    old: Sequence[InputFile], new: Sequence[InputFile], read: ReadObject
) -> Counter[tuple[int, int]]:
    """Return the bytes of equal lines that each pair of files shares."""
    old_index, new_index = _line_index(old, read), _line_index(new, read)
    shared: Counter[tuple[int, int]] = Counter()
    for line, old_files in old_index.items():
        new_files = new_index.get(line, {})
        if len(old_files) * len(new_files) > _COMMON_PAIRS:
            continue
        for i, old_count in old_files.items():
            for j, new_count in new_files.items():
                shared[i, j] += min(old_count, new_count) * len(line)
    return shared


def _line_index(files: Sequence[InputFile], read: ReadObject) -> dict[bytes, dict[int, int]]:
    index: dict[bytes, dict[int, int]] = defaultdict(dict)
    for number, file in enumerate(files):
        for line, count in Counter(read(file.object, file.size).splitlines(keepends=True)).items():
            index[line][number] = count
    return index


def _is_comparable(file: InputFile) -> bool:
    return file.language not in _OPAQUE and 0 < file.size <= MAX_BYTES


def _ordered(files: Iterable[InputFile]) -> list[InputFile]:
    return sorted(files, key=lambda file: path_key(file.path))


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
