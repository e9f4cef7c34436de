"""The folders of the tree of git that was taken last, to take those over that are as they were."""

from __future__ import annotations

from bisect import bisect_left

from codebatch.model.records import SkippedFile, path_key
from codebatch.store.indexes.git_cache import KnownFolder, KnownTree


class KnownFolders:
    """The tree that was taken last, and its manifest."""

    def __init__(self, tree: KnownTree, manifest: bytes) -> None:
        self.manifest = manifest
        self._folders = tree.folders
        self._paths = [path_key(folder.path) for folder in tree.folders]
        self._skipped = tree.skipped
        self._skipped_paths = [path_key(path) for path, _ in tree.skipped]

    def folder(self, path: bytes, key: str) -> KnownFolder | None:
        """Return what a folder came to, if it is as it was."""
        at = bisect_left(self._paths, path)
        if self._paths[at : at + 1] == [path] and self._folders[at].key == key:
            found = self._folders[at]
            return found if 0 <= found.start <= found.end <= len(self.manifest) else None
        return None

    def below(self, path: str) -> list[KnownFolder]:
        """Return the folder itself and those in it."""
        key = path_key(path)
        at = bisect_left(self._paths, key)
        start, end = _range(self._paths, key)
        return [self._folders[at], *(f for f in self._folders[start:end] if f.path != path)]

    def skipped_below(self, folder: KnownFolder) -> list[SkippedFile]:
        """Return what was skipped in a folder, or the folder itself."""
        key = path_key(folder.path)
        start, end = _range(self._skipped_paths, key)
        found = [SkippedFile(*pair) for pair in self._skipped[start:end]]
        at = bisect_left(self._skipped_paths, key)
        if key and self._skipped_paths[at : at + 1] == [key]:
            found.append(SkippedFile(*self._skipped[at]))
        return found


def _range(paths: list[bytes], folder: bytes) -> tuple[int, int]:
    """Return which of sorted paths are in a folder."""
    if not folder:
        return 0, len(paths)
    return bisect_left(paths, folder + b"/"), bisect_left(paths, folder + b"0")
