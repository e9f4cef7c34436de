"""Folders of a store that are kept open while many files are written."""

from __future__ import annotations

import resource

from codebatch.store.door import Door, Folder

# Objects come in no order, and their folders are in one of 256.
_MOST_OPEN = 260


class KeptFolders:
    """Folders that are opened from the one above and kept open, those that were asked for last.

    One that is kept is the folder it was when it was opened, wherever it is by now: a link that
    takes its place leads nowhere. In one that was removed nothing can be made any more
    (FileNotFoundError): `close` and ask again. State: ``_open`` holds them by place, in the order
    in which they were asked for.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._open: dict[str, Folder] = {}
        self._most = max(4, min(_MOST_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))

    def at(self, place: str, *, make: bool = False) -> Folder:
        """Return the folder at a place, for at least one more question."""
        folder = self._open.pop(place, None)
        if folder is None:
            folder = self._entered(place, make=make) if place else self._door.folder_at(place)
            if len(self._open) >= self._most:
                self._open.pop(next(iter(self._open))).close()
        self._open[place] = folder
        return folder

    def find(self, place: str) -> Folder | None:
        """Open a folder that is not to be kept, from the one above; None where it is not there."""
        parent, _, name = place.rpartition("/")
        try:
            above = self.at(parent)
            return above.enter(name) if above.has(name) else None
        except FileNotFoundError:
            return None

    def make(self, place: str) -> Folder:
        """Open a folder that is not to be kept, and that most likely is not there yet."""
        parent, _, name = place.rpartition("/")
        above = self.at(parent, make=True)
        above.make(name)
        return above.enter(name)

    def _entered(self, place: str, *, make: bool) -> Folder:
        parent, _, name = place.rpartition("/")
        above = self.at(parent, make=make)
        if make and not above.has(name):
            above.make(name)
        return above.enter(name)

    def close(self) -> None:
        """Give all of them back."""
        while self._open:
            self._open.popitem()[1].close()
