"""Which files of one batch are files of another under a new name.

The same object under another path is a rename; so are two files of one language of which more
than half is the same lines. Lines are found through an index from line to files, so that the
cost grows with what the files share and not with the number of pairs.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    """Pair files that are only in the old batch with files that are only in the new one: equal
    objects in path order, those that keep their base name first, then similar files.
    """
    old, new = _by_path(removed), _by_path(added)
    renames = []
    for key in (_object_and_name, _object):
        waiting: dict[tuple[str, ...], deque[str]] = defaultdict(deque)
        for path, file in new.items():
            waiting[key(file)].append(path)
        for path, file in list(old.items()):
            if paths := waiting.get(key(file)):
                renames.append(Rename(path, paths.popleft()))
                del old[path], new[renames[-1].new]
    renames += _similar(
        [file for file in old.values() if _is_comparable(file)],
        [file for file in new.values() if _is_comparable(file)],
        read,
    )
    return sorted(renames, key=lambda rename: path_key(rename.old))


def _by_path(files: Iterable[InputFile]) -> dict[str, InputFile]:
    return {file.path: file for file in sorted(files, key=lambda file: path_key(file.path))}


def _object_and_name(file: InputFile) -> tuple[str, ...]:
    return file.object, file.path.rpartition("/")[2]


def _object(file: InputFile) -> tuple[str, ...]:
    return (file.object,)


def _similar(
    old: Sequence[InputFile], new: Sequence[InputFile], read: ReadObject
) -> Iterator[Rename]:
    """Yield pairs of files in path order that are more than half the same, the most alike first."""
    if not old or not new:
        return
    scored = [
        (-shared / max(old[i].size, new[j].size, 1), i, j)
        for (i, j), shared in _shared_bytes(old, new, read).items()
        if old[i].language == new[j].language
    ]
    found: set[int] = set()
    taken: set[int] = set()
    for score, i, j in sorted(scored):
        if -score > SIMILARITY and i not in found and j not in taken:
            found.add(i)
            taken.add(j)
            yield Rename(old[i].path, new[j].path)


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
