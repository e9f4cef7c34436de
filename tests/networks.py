"""Networks that can be cut: hosts in network namespaces, and a proxy between two processes."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import socketserver
import subprocess
import threading
from typing import Any

from clusters import Host, free_port, why_fails


class Network:
    """Hosts of one network: each is a network namespace, reached from no other than these.

    A switch, in a namespace of its own, joins them; this machine's own network is not touched.
    """

    def __init__(self, *names: str) -> None:
        self._prefix = f"cb{os.getpid()}-"
        self._switch = f"{self._prefix}switch"
        self._hosts = {
            name: Host(name, f"192.0.2.{number}", ("ip", "netns", "exec", f"{self._prefix}{name}"))
            for number, name in enumerate(names, 1)
        }

    def __enter__(self) -> Network:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def cut(self, *names: str) -> None:
        """Let nothing through to these hosts, nor from them; nobody is told."""
        for name in names:
            _ip("-n", self._switch, "link", "set", name, "down")

    def heal(self, *names: str) -> None:
        for name in names:
            _ip("-n", self._switch, "link", "set", name, "up")

    def close(self) -> None:
        """Remove the namespaces, and with them all that is in them."""
        for name in (*self._hosts, "switch"):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", f"{self._prefix}{name}")

    def _build(self) -> None:
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge", "up")
        for name, host in self._hosts.items():
            space = f"{self._prefix}{name}"
            _ip("netns", "add", space)
            port = ("peer", "name", name, "netns", self._switch)
            _ip("link", "add", "eth0", "netns", space, "type", "veth", *port)
            _ip("-n", self._switch, "link", "set", name, "master", "bridge", "up")
            _ip("-n", space, "address", "add", f"{host.address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                _ip("-n", space, "link", "set", link, "up")


def why_no_network() -> str | None:
    """Why there can be no network namespaces here, if there cannot."""
    name = f"cb{os.getpid()}-probe"
    why = why_fails("ip", "netns", "add", name)
    if why is None:
        why = why_fails("ip", "netns", "exec", name, "unshare", "-m", "true")
        _ip("netns", "delete", name)
    return why


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=60)


class Proxy:
    """Forwards connections to a port of this machine, until it is cut.

    State: ``port`` is where it listens, the same after it was healed; ``_sockets`` are open.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._sockets: set[socket.socket] = set()
        self._server: _Server | None = None

    def __enter__(self) -> Proxy:
        self.heal()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def heal(self) -> None:
        """Listen, and forward what comes."""
        self._server = _Server(("127.0.0.1", self.port), self._forward)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = None
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _forward(self, near: socket.socket, *_: Any) -> None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._target)) as far,
        ):
            ends = {near: far, far: near}
            self._sockets.update(ends)
            try:
                _copy(ends)
            finally:
                self._sockets.difference_update(ends)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _copy(ends: dict[socket.socket, socket.socket]) -> None:
    """Write what one end reads to the other, until one is closed."""
    with selectors.DefaultSelector() as selector:
        for end in ends:
            selector.register(end, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                data = key.fileobj.recv(2**16)  # type: ignore[union-attr]
                if not data:
                    return
                ends[key.fileobj].sendall(data)  # type: ignore[index]
