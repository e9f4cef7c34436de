"""A remote in a bucket of S3 or a server that speaks its protocol, through obstore.

Credentials, region and endpoint come from where obstore looks: variables ``AWS_…``, web identities
and the metadata of a machine.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import obstore
from obstore import exceptions
from obstore.store import S3Store

from codebatch.model.clock import now_ns
from codebatch.model.errors import RemoteError
from codebatch.remote.location import Blob

_RETRIES = 2
_LEAST_BYTES_PER_SECOND = 2**17
_LARGEST_BYTES = 2**26
_MOST_WORDS = 160
_BEGINNING_BYTES = 64
_SECRET = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_WHY: dict[type[Exception], str] = {
    exceptions.PermissionDeniedError: "access is refused",
    exceptions.UnauthenticatedError: "access is refused",
    PermissionError: "access is refused",
    exceptions.NotFoundError: "there is no such bucket",
    FileNotFoundError: "there is no such bucket",
}


class BucketLocation:
    """Objects below a prefix in a bucket."""

    def __init__(self, name: str, prefix: str, seconds: float) -> None:
        whole = seconds + _LARGEST_BYTES / _LEAST_BYTES_PER_SECOND
        options: Any = {
            "connect_timeout": f"{seconds}s",
            "timeout": f"{whole}s",
            "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true"),
        }
        retries: Any = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=seconds)}
        with _reporting():
            self._store = S3Store(
                name, prefix=prefix or None, client_options=options, retry_config=retries
            )

    def read(self, name: str, limit: int) -> Blob | None:
        """Get an object; its ETag is the tag."""
        with _reporting():
            try:
                found = obstore.get(self._store, name)
            except (exceptions.NotFoundError, FileNotFoundError):
                return None
            if found.meta["size"] > limit:
                data = obstore.get_range(self._store, name, start=0, length=_BEGINNING_BYTES)
            else:
                data = found.bytes()
            return Blob(bytes(data), found.meta["e_tag"])

    def write(self, name: str, data: bytes) -> None:
        """Put an object there."""
        with _reporting():
            obstore.put(self._store, name, data, use_multipart=False)

    def swap(self, name: str, data: bytes, before: Blob | None) -> bool:
        """Put an object there, on condition that the tag is the same, or that there is none."""
        mode: Any = "create"
        if before is not None:
            mode = "overwrite" if before.tag is None else {"e_tag": before.tag}
        with _reporting():
            try:
                obstore.put(self._store, name, data, mode=mode, use_multipart=False)
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                return False
            except (exceptions.NotSupportedError, NotImplementedError):
                self.write(name, data)
        return True

    def remove(self, name: str) -> bool:
        """Remove an object."""
        with _reporting():
            obstore.delete(self._store, name)
        return True

    def ages(self) -> dict[str, float]:
        """Return the objects by name with their age."""
        now = now_ns() / 1e9
        with _reporting():
            return {
                os.path.basename(one["path"]): now - one["last_modified"].timestamp()
                for portion in obstore.list(self._store)
                for one in portion
            }


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except (exceptions.BaseError, OSError, ValueError) as error:
        why = next((why for kind, why in _WHY.items() if isinstance(error, kind)), None)
        raise RemoteError(f"the bucket of the remote: {why or _words(error)}") from error


def _words(error: Exception) -> str:
    """Return the first line of what obstore says, without bodies of answers and credentials."""
    text = str(error).split("\n", 1)[0].split("<", 1)[0]
    for name in _SECRET:
        if secret := os.environ.get(name):
            text = text.replace(secret, "…")
    return "".join(one if one.isprintable() else " " for one in text)[:_MOST_WORDS].strip()
