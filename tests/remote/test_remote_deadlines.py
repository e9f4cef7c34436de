"""Servers that send or take bytes one by one, or what is not HTTP: each request ends in time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import codebatch
from codebatch.model.errors import RemoteError
from codebatch.remote import server

_LONG = 4.0  # seconds for which a server goes on
_SHORT = 2.0

Serve = Callable[[socket.socket, threading.Event], object]


@contextlib.contextmanager
def serving(serve: Serve) -> Iterator[str]:
    """The URL of a server that does this with each connection, for a block, which sets the event
    at its end.
    """
    is_over = threading.Event()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with contextlib.suppress(OSError), connection:
                    serve(connection, is_over)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/team"
        finally:
            is_over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def again(start: bytes, portion: bytes, pause: float) -> Serve:
    """Answer a request with bytes that do not end for long."""

    def serve(connection: socket.socket, is_over: threading.Event) -> None:
        connection.recv(2**16)
        connection.sendall(start)
        end = time.monotonic() + _LONG
        while not is_over.wait(pause) and time.monotonic() < end:
            connection.sendall(portion)

    return serve


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> codebatch.Store:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("CODEBATCH_MEMO_TIMEOUT", "0.2")
    return codebatch.open_store(tmp_path / "s", create=True)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "portion", "pause"),
    [
        pytest.param(b"", b"H", 0.05, id="status line"),
        pytest.param(OK, b"X", 0.05, id="header"),
        pytest.param(b"", GO_ON, 0.05, id="continue"),
        pytest.param(b"", 100 * GO_ON, 0.0, id="continue without a pause"),
        pytest.param(CHUNKED, b"1", 0.05, id="size of a chunk"),
        pytest.param(CHUNKED + b"0\r\n", b"X: y\r\n", 0.05, id="trailers"),
    ],
)
def test_an_answer_that_never_ends(
    store: codebatch.Store, start: bytes, portion: bytes, pause: float
) -> None:
    with serving(again(start, portion, pause)) as url:
        begun = time.monotonic()
        with pytest.raises(RemoteError, match="in time"):
            store.pull_memo(url)
        assert time.monotonic() - begun < _SHORT


def test_a_server_that_takes_what_it_is_sent_too_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(connection: socket.socket, is_over: threading.Event) -> None:
        while connection.recv(2**16) and not is_over.wait(0.05):
            pass

    monkeypatch.setattr(server, "_LEAST_BYTES_PER_SECOND", 2**40)
    with serving(serve) as url:
        begun = time.monotonic()
        with pytest.raises(RemoteError, match="in time"):
            server.ServerLocation(url, 0.2, is_here=True).write("index", bytes(2**24))
        assert time.monotonic() - begun < _SHORT


@pytest.mark.parametrize("place", [b"http://[::1/x", b"http://h:port/x", b"/\xe4\xff", b"//a..b/"])
def test_a_redirection_to_what_is_no_url(store: codebatch.Store, place: bytes) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: " + place + b"\r\nContent-Length: 0\r\n\r\n"

    def serve(connection: socket.socket, _: threading.Event) -> None:
        connection.recv(2**16)
        connection.sendall(answer)

    with serving(serve) as url, pytest.raises(RemoteError) as caught:
        store.pull_memo(url)
    assert str(caught.value).startswith(f"{url}: the remote ")
