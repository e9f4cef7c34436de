"""Messages between a process and its children: a length, then MessagePack. No pickle.

What is sent is plain: maps, lists, text, bytes and numbers of 64 bits.
`start_process` makes a child.
"""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
from typing import Any

import msgpack

from codebatch.runtime.programs import import_path, python_command

_LENGTH = struct.Struct(">Q")
_PORTION = 2**20


class BrokenChannelError(Exception):
    """The other side ended, perhaps in the middle of a message."""


def send(channel: socket.socket, message: object) -> None:
    """Send one message."""
    body = msgpack.packb(message, unicode_errors="surrogatepass")
    try:
        channel.sendall(_LENGTH.pack(len(body)))
        channel.sendall(body)
    except ConnectionError as error:
        raise BrokenChannelError from error


def receive(channel: socket.socket) -> Any:
    """The next message; `TimeoutError` where the socket has a timeout and nothing came."""
    (length,) = _LENGTH.unpack(_read(channel, _LENGTH.size))
    return msgpack.unpackb(
        _read(channel, length), unicode_errors="surrogatepass", strict_map_key=False
    )


def _read(channel: socket.socket, length: int) -> bytes:
    portions = []
    while length:
        try:
            portion = channel.recv(min(length, _PORTION))
        except ConnectionError as error:
            raise BrokenChannelError from error
        if not portion:
            raise BrokenChannelError
        portions.append(portion)
        length -= len(portion)
    return b"".join(portions)


def start_process(boot: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Return the channel to a Python of its own that runs the code, and the process. The code gets
    the number of its end of the channel and the path to import from.
    """
    channel, theirs = socket.socketpair()
    command = python_command(boot, str(theirs.fileno()), *import_path())
    # The process inherits the mask: an interrupt is for this one to handle.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        with theirs:
            process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    except BaseException:
        channel.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return channel, process
