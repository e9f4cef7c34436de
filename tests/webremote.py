"""A server of files that answers GET, PUT and DELETE, and does what servers do when they fail."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Web:
    """What the server has, by path, what it was asked, and how it fails.

    ``fault`` is one of ``cut``, ``cut-quietly``, ``slow``, ``drip``, ``damage``, ``elsewhere``,
    ``here``, ``endless``, or a status as text; it strikes requests whose line has ``strikes`` in
    it. Without ``has_tags`` no answer has an ETag and no condition is heeded.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    fault: str = ""
    strikes: str = ""
    elsewhere: str = ""
    has_tags: bool = True
    removes: bool = True
    before_put: Any = None
    lock: Any = field(default_factory=threading.Lock)


def tag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


class Handler(BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        if self._fails():
            return
        data = self.web.files.get(self.path)
        if data is None:
            self._say(404)
            return
        self.send_response(200)
        if self.web.has_tags:
            self.send_header("ETag", tag_of(data))
        if self._struck():
            self._send_badly(data)
            return
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_badly(self, data: bytes) -> None:
        fault = self.web.fault
        if fault not in ("cut-quietly", "endless"):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault in ("cut", "cut-quietly"):
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif fault == "damage":
            middle = len(data) // 2
            self.wfile.write(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        elif fault == "drip":
            for at in range(len(data)):
                self.wfile.write(data[at : at + 1])
                self.wfile.flush()
                time.sleep(0.05)
        elif fault == "endless":
            while True:
                self.wfile.write(bytes(2**16))

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self._fails():
            return
        if self.web.before_put is not None:
            self.web.before_put(self.path)
        with self.web.lock:
            before = self.web.files.get(self.path)
            wanted, none = self.headers.get("If-Match"), self.headers.get("If-None-Match")
            holds = (wanted is None or (before is not None and tag_of(before) == wanted)) and not (
                none == "*" and before is not None
            )
            if self.web.has_tags and not holds:
                self._say(412)
                return
            self.web.files[self.path] = data
        self._say(201)

    def do_DELETE(self) -> None:
        if self._fails():
            return
        if not self.web.removes:
            self._say(405)
            return
        self._say(204 if self.web.files.pop(self.path, None) is not None else 404)

    def _struck(self) -> bool:
        is_moved = self.web.fault == "here" and self.path.startswith("/moved")
        is_asked = self.web.strikes in f"{self.command} {self.path}"
        return bool(self.web.fault) and is_asked and not is_moved

    def _fails(self) -> bool:
        """Note a request; answer it here where it is to fail before anything is sent."""
        self.web.asked.append(f"{self.command} {self.path}")
        self.web.headers.append(dict(self.headers))
        fault = self.web.fault
        if not self._struck():
            return False
        if fault.isdigit():
            self._say(int(fault))
        elif fault == "elsewhere":
            self._redirect(f"{self.web.elsewhere}{self.path}")
        elif fault == "here":
            self._redirect(f"/moved{self.path}")
        elif fault == "slow":
            time.sleep(1)
            self.close_connection = True
        else:
            return False
        return True

    def _redirect(self, where: str) -> None:
        self.send_response(307)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _say(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients leave in the middle here."""


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> Iterator[Web]:
    """A server on this machine, for a block; with a certificate and its key in a file, of HTTPS."""
    web = Web()
    handler = type("Bound", (Handler,), {"web": web})
    with Quiet(("127.0.0.1", 0), handler) as server:
        scheme, host = "http", "127.0.0.1"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme, host = "https", "localhost"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        web.url = f"{scheme}://{host}:{server.server_address[1]}"
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()
