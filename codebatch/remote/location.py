"""Where a remote is: a folder, an HTTP server, a bucket; and what can be done there.

Names at a remote are ours and never come from it. Whatever goes wrong is a `RemoteError` that holds
nothing secret.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import NamedTuple, Protocol
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from codebatch.model.errors import MissingExtraError, RemoteInvalidError
from codebatch.runtime.lazy import lazily

with lazily():
    from codebatch.remote import bucket, folder, server

VARIABLE = "CODEBATCH_MEMO"
TIMEOUT_VARIABLE = "CODEBATCH_MEMO_TIMEOUT"
DEFAULT_SECONDS = 10.0
_MOST_SECONDS = 24 * 3600.0

_HINTS = ["name a folder, s3://bucket/prefix, or https://host/path"]
_HERE = ("localhost",)


class Blob(NamedTuple):
    """The bytes of a file at a remote, and a tag of this version of them, where it has any."""

    data: bytes
    tag: str | None


class Location(Protocol):
    """A remote. Everything raises `RemoteError` where the remote does not do it."""

    def read(self, name: str, limit: int) -> Blob | None:
        """Return a file of at most so many bytes; None where there is none.

        Of a larger one, only its beginning is read, perhaps a little more than those bytes; and
        nothing of what is there but is no file. So it is damaged for whoever looks at it.
        """

    def write(self, name: str, data: bytes) -> None:
        """Put a file there, whatever is in its place."""

    def swap(self, name: str, data: bytes, before: Blob | None) -> bool:
        """Put a file there in place of what was read before; False where something else is there
        by now, which is found out as far as the remote can tell.
        """

    def remove(self, name: str) -> bool:
        """Remove a file; False where the remote removes none."""

    def ages(self) -> dict[str, float] | None:
        """Return the files by name, with how many seconds ago each was written; None where the
        remote lists none.
        """


def choose_memo(memo: str | os.PathLike[str] | None) -> str | None:
    """Return the location that is named, else that of the environment; None for no remote, which
    an empty name says as well.
    """
    return (os.environ.get(VARIABLE) if memo is None else os.fspath(memo)) or None


def open_location(text: str) -> Location:
    """Return what a folder, or a URL, stands for; nothing is looked at yet.

    `RemoteInvalidError` where it stands for nothing, `MissingExtraError` where what it takes is not
    installed.
    """
    if not text:
        raise RemoteInvalidError("an empty name is no remote", hints=["is a variable not set?"])
    seconds = timeout()
    if "://" not in text:
        return _open_folder(text, seconds)
    parts = _split(text)
    if parts.scheme == "file":
        if parts.netloc not in ("", *_HERE) or not parts.path:
            raise RemoteInvalidError(
                "a remote at file:// is a folder of this machine, with its whole path",
                hints=["as file:///path"],
            )
        return _open_folder(os.fsdecode(unquote_to_bytes(parts.path)), seconds)
    if parts.scheme == "s3" and parts.netloc:
        try:
            return bucket.BucketLocation(parts.netloc, parts.path.strip("/"), seconds)
        except ImportError as error:
            message = "s3:// needs the package obstore, which is not installed"
            raise MissingExtraError(message, hints=["pip install 'codebatch[remote]'"]) from error
    if parts.scheme in ("http", "https") and parts.hostname:
        is_here = _is_here(parts.hostname)
        if parts.scheme == "http" and not is_here:
            raise RemoteInvalidError(
                "http:// is for this machine alone: results of others need a connection that "
                "nobody on the way can change",
                hints=["use https://"],
            )
        return server.ServerLocation(text.rstrip("/"), seconds, is_here=is_here)
    raise RemoteInvalidError(f"not a remote: {parts.scheme}://", hints=_HINTS)


def _open_folder(path: str, seconds: float) -> Location:
    if "\0" in path:
        raise RemoteInvalidError("a folder has no zero byte in its name", hints=_HINTS)
    return folder.FolderLocation(path, seconds)


def timeout(environment: Mapping[str, str] = os.environ) -> float:
    """Return how many seconds a remote may take to answer: a day at most."""
    text = environment.get(TIMEOUT_VARIABLE) or DEFAULT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= _MOST_SECONDS:
        raise RemoteInvalidError(
            f"not a number of seconds, of a day at most: {TIMEOUT_VARIABLE}={text}"
        )
    return seconds


def _split(text: str) -> SplitResult:
    """Take a URL apart; what may be secret in it has no place there, and is not repeated."""
    try:
        parts = urlsplit(text)
        wrong = "@" in parts.netloc or "?" in text or "#" in text or (parts.port or 1) < 1
        is_written_out = text.isascii() and text.isprintable() and " " not in text
        if is_written_out and parts.hostname:
            parts.hostname.encode("idna")  # as it is looked up: each label has 1 to 63 bytes
    except ValueError as error:
        raise RemoteInvalidError(
            "the URL of a remote has no host or port that can be", hints=_HINTS
        ) from error
    if not is_written_out:
        raise RemoteInvalidError(
            "the URL of a remote has characters that have to be encoded",
            hints=["write a blank as %20, and bytes of UTF-8 so as well"],
        )
    if wrong:
        raise RemoteInvalidError(
            "the URL of a remote has a user, a password, a query or a fragment in it",
            hints=["credentials come from the environment: see docs/reuse.md", *_HINTS],
        )
    return parts


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _HERE
