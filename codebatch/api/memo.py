"""What a store remembers, carried to other stores: in a file, or through a remote."""

from __future__ import annotations

from collections.abc import Callable

from codebatch.api.given import PathLike, named_path
from codebatch.model.errors import RemoteInvalidError
from codebatch.runtime.lazy import lazily
from codebatch.store import StoreDirectory

with lazily():
    from codebatch.remote import location, shared
    from codebatch.store.indexes import memo_archive as archives

Notice = Callable[[str], None]


class Memo:
    """The memo of a store, as far as it is shared with others."""

    directory: StoreDirectory

    def export_memo(self, path: PathLike) -> archives.ArchiveReport:
        """Write the whole memo to a file, for another machine."""
        return archives.export_memo(self.directory, named_path(path))

    def import_memo(self, path: PathLike) -> archives.ArchiveReport:
        """Remember what `export_memo` wrote, here or on another machine."""
        return archives.import_memo(self.directory, named_path(path))

    def push_memo(
        self,
        memo: PathLike | None = None,
        *,
        max_bytes: int | None = None,
        prune: bool = False,
        on_notice: Notice | None = None,
    ) -> shared.PushReport:
        """Add what the store remembers to a remote, as far as it is not there: a folder,
        ``s3://bucket/prefix`` or ``https://host/path``; None is that of ``CODEBATCH_MEMO``.

        ``max_bytes`` is what the remote may have from now on: what was added first goes then.
        With ``prune``, what killed pushes have left there is removed. `RemoteError` where it fails.
        """
        return self._shared(memo, on_notice).push(limit=max_bytes, prune=prune)

    def pull_memo(
        self, memo: PathLike | None = None, *, on_notice: Notice | None = None
    ) -> shared.PullReport:
        """Remember everything that a remote has and the store does not; the remote is named as for
        `push_memo`. `RemoteError` where it fails or nothing was pushed there, and at the end where
        a part of it is damaged.
        """
        remote = self._shared(memo, on_notice)
        remote.pull_missing()
        return remote.pulled

    def _shared(self, memo: PathLike | None, on_notice: Notice | None) -> shared.SharedMemo:
        chosen = location.choose_memo(memo)
        if chosen is None:
            raise RemoteInvalidError(
                "no remote is named", hints=[f"name one, or set {location.VARIABLE}"]
            )
        return shared.SharedMemo(self.directory, chosen, on_notice or (lambda _: None))
