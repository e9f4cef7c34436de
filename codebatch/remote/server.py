"""A remote at a server that answers GET and PUT, perhaps DELETE, over HTTPS.

A token in ``CODEBATCH_MEMO_TOKEN`` is sent as that of a bearer, else what ``.netrc`` has for the
host. A redirection is followed to the same server only, and never with credentials. A request has
to be done by a deadline, however slowly the server takes it or answers.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import netrc
import os
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from typing import IO, Any
from urllib.parse import urlsplit

from codebatch.model.errors import RemoteError
from codebatch.remote.location import Blob

TOKEN_VARIABLE = "CODEBATCH_MEMO_TOKEN"  # noqa: S105 - the name of a variable

_ABSENT = (404, 410)
_CHANGED = (409, 412)
_REMOVES_NOTHING = (403, 405, 501)
_REDIRECTIONS = (301, 302, 303, 307, 308)
_PORTION = 2**16
_LEAST_BYTES_PER_SECOND = 2**17  # of a file; slower ones are given up


class ServerLocation:
    """Files below a URL."""

    def __init__(self, url: str, seconds: float, *, is_here: bool) -> None:
        self._url = url
        self._seconds = seconds
        self._deadline = _Deadline()
        proxies = urllib.request.ProxyHandler({}) if is_here else urllib.request.ProxyHandler()
        plain, secure = _Plain(), _Secure(context=ssl.create_default_context())
        plain.deadline = secure.deadline = self._deadline
        self._opener = urllib.request.build_opener(
            proxies, _Answers(), _SameServer(), plain, secure
        )

    def read(self, name: str, limit: int) -> Blob | None:
        """Get a file."""
        with self._answer("GET", name) as answer:
            if answer.status in _ABSENT:
                return None
            _check(answer)
            data = self._body(answer, limit)
            return Blob(data, _strong(answer.headers.get("ETag")))

    def write(self, name: str, data: bytes) -> None:
        """Put a file there."""
        with self._answer("PUT", name, data) as answer:
            _check(answer)

    def swap(self, name: str, data: bytes, before: Blob | None) -> bool:
        """Put a file there, on condition that what was read is there still, where it has a tag."""
        headers = {}
        if before is None:
            headers["If-None-Match"] = "*"
        elif before.tag is not None:
            headers["If-Match"] = before.tag
        with self._answer("PUT", name, data, headers) as answer:
            if answer.status in _CHANGED:
                return False
            _check(answer)
        return True

    def remove(self, name: str) -> bool:
        """Remove a file; many servers do not."""
        with self._answer("DELETE", name) as answer:
            if answer.status in _REMOVES_NOTHING:
                return False
            if answer.status not in _ABSENT:
                _check(answer)
        return True

    def ages(self) -> None:
        """Return None: a server lists nothing."""

    def _body(self, answer: http.client.HTTPResponse, limit: int) -> bytes:
        said = answer.headers.get("Content-Length", "")
        length = int(said) if said.isascii() and said.isdigit() and len(said) < 16 else None
        data = bytearray()
        while len(data) <= limit and (portion := answer.read1(_PORTION)):
            data += portion
            self._deadline.end += len(portion) / _LEAST_BYTES_PER_SECOND
        if len(data) <= limit and length is not None and len(data) != length:
            raise RemoteError("the remote ended the connection in the middle")
        return bytes(data)

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        name: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        request = urllib.request.Request(f"{self._url}/{name}", method=method)  # noqa: S310 - http or https
        request.add_header("User-Agent", "codebatch")
        self._deadline.end = time.monotonic() + self._seconds
        if data is not None:
            self._deadline.end += len(data) / _LEAST_BYTES_PER_SECOND
            request.data = _portions(data, self._deadline)
            request.add_header("Content-Length", str(len(data)))
            request.add_header("Content-Type", "application/octet-stream")
        for key, value in (headers or {}).items():
            request.add_header(key, value)
        if credentials := self._credentials():
            request.add_unredirected_header("Authorization", credentials)
        try:
            with self._opener.open(request, timeout=self._seconds) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            error.close()
            raise RemoteError("the remote redirects to somewhere else") from error
        except TimeoutError as error:
            raise RemoteError("the remote does not answer in time") from error
        except urllib.error.URLError as error:
            raise RemoteError(f"the remote cannot be reached: {_reason(error)}") from error
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(f"the remote broke the connection: {_reason(error)}") from error
        except (ValueError, OverflowError) as error:
            raise RemoteError("the remote answers what is not HTTP") from error

    def _credentials(self) -> str | None:
        if token := os.environ.get(TOKEN_VARIABLE):
            if not token.isascii() or not token.isprintable():
                raise RemoteError(f"{TOKEN_VARIABLE} is no token")
            return f"Bearer {token}"
        place = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
        try:
            found = netrc.netrc(place).authenticators(urlsplit(self._url).hostname or "")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError) as error:
            raise RemoteError(f"{place} cannot be read") from error
        if found is None:
            return None
        pair = f"{found[0]}:{found[2]}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class _Deadline:
    """When a request has to be done: ``end``, on the monotonic clock."""

    end = 0.0

    def left(self) -> float:
        """Return the seconds until then; `TimeoutError` where there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _portions(data: bytes, deadline: _Deadline) -> Iterator[bytes]:
    """Yield data to be sent, until a deadline."""
    for at in range(0, len(data), _PORTION):
        deadline.left()
        yield data[at : at + _PORTION]


class _TimedReads(io.RawIOBase):
    """What a socket receives, until a deadline: the timeout of a socket is for one call alone."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._socket = connection
        self._inner = connection.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read as `io.RawIOBase` does."""
        self._socket.settimeout(self._deadline.left())
        return self._inner.readinto(buffer)

    def close(self) -> None:
        """Close the reading end."""
        self._inner.close()
        super().close()


class _TimedAnswer(http.client.HTTPResponse):
    """An answer of which all, its headers and what comes before them too, is read by a deadline."""

    def __init__(
        self, connection: socket.socket, *arguments: Any, deadline: _Deadline, **named: Any
    ) -> None:
        super().__init__(connection, *arguments, **named)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReads(connection, deadline))


class _Timed(urllib.request.AbstractHTTPHandler):
    """Makes connections whose answers are read by a deadline."""

    deadline: _Deadline

    def do_open(
        self, http_class: Any, req: urllib.request.Request, **http_conn_args: Any
    ) -> http.client.HTTPResponse:
        """Send a request and return its answer."""

        def connect(*arguments: Any, **named: Any) -> http.client.HTTPConnection:
            connection: http.client.HTTPConnection = http_class(*arguments, **named)
            answer: Any = partial(_TimedAnswer, deadline=self.deadline)
            connection.response_class = answer
            return connection

        return super().do_open(connect, req, **http_conn_args)


class _Plain(_Timed, urllib.request.HTTPHandler):
    """Of HTTP."""


class _Secure(_Timed, urllib.request.HTTPSHandler):
    """Of HTTPS."""


class _Answers(urllib.request.HTTPErrorProcessor):
    """Takes every status for an answer, but those of redirections."""

    def http_response(
        self, request: urllib.request.Request, response: http.client.HTTPResponse
    ) -> http.client.HTTPResponse:
        """Return the answer, or that of where it leads."""
        if response.status not in _REDIRECTIONS:
            return response
        try:
            return super().http_response(request, response)  # type: ignore[no-any-return]
        except ValueError:  # it leads to what is no URL
            response.close()
            raise

    https_response = http_response


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows to where the request has gone, and nowhere else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request to follow with; None, which makes the answer an error, else."""
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2] or req.get_method() != "GET":
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(answer: http.client.HTTPResponse) -> None:
    if answer.status in (401, 403):
        raise RemoteError(f"the remote refuses access: it answers {answer.status}")
    if not 200 <= answer.status < 300:
        raise RemoteError(f"the remote answers {answer.status}")


def _reason(error: BaseException) -> str:
    """Return in a few words what the system says; nothing that the remote says."""
    inner = getattr(error, "reason", None)
    cause = inner if isinstance(inner, BaseException) else error
    if isinstance(cause, TimeoutError):
        return "it does not answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__


def _strong(tag: str | None) -> str | None:
    """Return a tag that can be a condition: a weak one never holds in one."""
    if tag is None or not (tag.startswith('"') and tag.isascii() and tag.isprintable()):
        return None
    return tag
