"""Where a remote is: a folder, an HTTP server, a bucket; and what can be done there.

Names at a remote are ours and never come from it. Whatever goes wrong is a `RemoteError` that holds
nothing secret.
"""

from __future__ import annotations

import ipaddress
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from codebatch.model.errors import MissingExtraError, RemoteInvalidError
from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    from codebatch.remote import bucket, folder, server
else:
    bucket = lazy("codebatch.remote.bucket")
    folder = lazy("codebatch.remote.folder")
    server = lazy("codebatch.remote.server")

VARIABLE = "CODEBATCH_MEMO"
TIMEOUT_VARIABLE = "CODEBATCH_MEMO_TIMEOUT"
DEFAULT_SECONDS = 10.0

_HINTS = ["name a folder, s3://bucket/prefix, or https://host/path"]
_HERE = ("localhost",)


class Blob(NamedTuple):
    """The bytes of a file at a remote, and a tag of this version of them, where it has any."""

    data: bytes
    tag: str | None


class Location(Protocol):
    """A remote. Everything raises `RemoteError` where the remote does not do it."""

    def read(self, name: str, limit: int) -> Blob | None:
        """Return a file of at most so many bytes; None where there is none."""

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
    if not text or "\0" in text:
        raise RemoteInvalidError("an empty name is no remote", hints=["is a variable not set?"])
    if "://" not in text:
        return folder.FolderLocation(text, timeout())
    parts = _split(text)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return folder.FolderLocation(unquote(parts.path), timeout())
    if parts.scheme == "s3" and parts.netloc:
        try:
            return bucket.BucketLocation(parts.netloc, parts.path.strip("/"), timeout())
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
        return server.ServerLocation(text.rstrip("/"), timeout(), is_here=is_here)
    raise RemoteInvalidError(f"not a remote: {parts.scheme}://", hints=_HINTS)


def timeout(environment: Mapping[str, str] = os.environ) -> float:
    """Return how many seconds a remote may take to answer."""
    text = environment.get(TIMEOUT_VARIABLE) or DEFAULT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < math.inf:
        raise RemoteInvalidError(f"not a number of seconds: {TIMEOUT_VARIABLE}={text}")
    return seconds


def _split(text: str) -> SplitResult:
    """Take a URL apart; what may be secret in it has no place there, and is not repeated."""
    try:
        parts = urlsplit(text)
        wrong = "@" in parts.netloc or "?" in text or "#" in text or (parts.port or 1) < 1
        is_written_out = text.isascii() and text.isprintable() and " " not in text
    except ValueError as error:
        raise RemoteInvalidError("the URL of a remote is none", hints=_HINTS) from error
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
