"""The quarantine below ``indexes/quarantine/``: results that end the process that computes them.

One small sealed document a key, for people as well: it says which file and task it was. A result
whose document is damaged or gone is not quarantined, and is tried again. There are few.
"""

from __future__ import annotations

from codebatch.model.digest import DIGEST_PREFIX, Document, seal, unseal
from codebatch.model.errors import InvalidIdError, StoreError
from codebatch.store.documents import pretty
from codebatch.store.files import read_file, remove_file, write_file
from codebatch.store.layout import QUARANTINE_SUFFIX, SMALL_BYTES, Layout


class QuarantineIndex:
    """The quarantined results of one store, as there were when it was made.

    State: ``_keys`` are their keys; a document is read when it is asked for.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        try:
            names = layout.door.names(layout.quarantine)
        except (OSError, StoreError):
            names = []
        self._keys = {DIGEST_PREFIX + name.removesuffix(QUARANTINE_SUFFIX) for name in names}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def code(self, key: str) -> str | None:
        """Return the code of the diagnostic for which a result is quarantined, or None."""
        if key not in self._keys:
            return None
        try:
            data = read_file(self._layout.door, self._layout.quarantined(key), SMALL_BYTES)
            document = unseal(data or b"", "a quarantined result")
        except (StoreError, InvalidIdError):
            return None
        return str(document.get("code")) if document.get("key") == key else None

    def add(self, key: str, code: str, facts: Document) -> None:
        """Quarantine a result; ``facts`` tell people which one it is."""
        document = pretty(seal({"key": key, "code": code, **facts}))
        write_file(self._layout.door, self._layout.quarantined(key), document, durable=False)
        self._keys.add(key)

    def remove(self, key: str) -> None:
        """Release a result, if it is quarantined."""
        if key in self._keys:
            remove_file(self._layout.door, self._layout.quarantined(key))
            self._keys.discard(key)
