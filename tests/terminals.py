"""Terminals for tests: a command that runs in one, and what a person would see there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

from conftest import cli_command, cli_environment

# Has the terminal that stdin is for its own, as a shell would give it, and becomes the command.
OWNING_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
# The command line, which shows progress from the first moment on.
DRAWING_AT_ONCE = """
import sys
from codebatch.cli import main
from codebatch.cli.render import progress
progress.FIRST_SECONDS = 0
main(sys.argv[1:])
"""
_CONTROL = re.compile(rb"\x1b\[(\??[\d;]*)([A-Za-z])")
# What goes back to the first of the rows that are drawn in place.
_REDRAW = re.compile(rb"(?=\r\x1b\[(?:2K|1A))")


class Screen:
    """The rows of a terminal of a fixed size; a line that is too long goes on in the next row.

    State: ``rows`` is all that was ever shown, the last ``height`` of which can be written to,
    ``has_cursor`` tells whether one is to be seen.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.rows = [""]
        self.has_cursor = True
        self._row = 0
        self._column = 0

    @property
    def text(self) -> list[str]:
        """What is there, without what only fills up rows."""
        rows = [row.rstrip() for row in self.rows]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def write(self, data: bytes) -> None:
        """Show text, and obey what it is told; anything that is not known is an error."""
        text = data.decode()
        place = 0
        while place < len(text):
            control = _CONTROL.match(text[place:].encode())
            if control:
                self._obey(control[1].decode(), control[2].decode())
                place += len(control[0])
            else:
                self._show(text[place])
                place += 1

    def _show(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._down()
        else:
            assert character.isprintable(), repr(character)
            if self._column == self.width:
                self._down()
                self._column = 0
            row = self.rows[self._row].ljust(self._column)
            self.rows[self._row] = row[: self._column] + character + row[self._column + 1 :]
            self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self.rows):
            self.rows.append("")

    def _obey(self, number: str, letter: str) -> None:
        if letter == "A":
            self._row = max(self._row - int(number or 1), len(self.rows) - self.height, 0)
        elif letter == "K":
            assert number == "2", number
            self.rows[self._row] = ""
        elif number == "?25":
            self.has_cursor = letter == "h"
        else:
            assert letter == "m", letter


class InTerminal:
    """The command line as the only process of a terminal, whose streams all are.

    State: ``screen`` is what is to be seen now, ``frames`` what was each time that lines had been
    drawn, ``written`` everything as it came, ``seen`` how much of it ``screen`` shows.
    """

    def __init__(
        self,
        *arguments: object,
        width: int = 100,
        height: int = 24,
        env: dict[str, str | None] | None = None,
    ) -> None:
        command = [sys.executable, "-c", DRAWING_AT_ONCE, *cli_command(*arguments)[3:]]
        self.screen = Screen(width, height)
        self.frames: list[list[str]] = []
        self.written = b""
        self._seen = 0
        self._parent, child = pty.openpty()
        size = struct.pack("HHHH", height, width, 0, 0)
        fcntl.ioctl(child, termios.TIOCSWINSZ, size)
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNING_THE_TERMINAL, *command],
            env=cli_environment(**{"TERM": "xterm", **(env or {})}),
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
        )
        os.close(child)

    def __enter__(self) -> InTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._parent)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._parent, keys)

    def wait_for(self, condition: Callable[[InTerminal], object], seconds: float = 120) -> None:
        """Read on until something is so."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < deadline, self.written
            assert self._read(), self.written

    def end(self, seconds: float = 240) -> int:
        """Read all that is still to come; the exit code."""
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, self.written
        self._show(self.written[self._seen :])
        return self.process.wait(timeout=120)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._parent], [], [], 120)
        try:
            portion = os.read(self._parent, 65536) if ready else b""
        except OSError:  # the terminal is gone with its last process
            return False
        self.written += portion
        *drawn, _ = _REDRAW.split(self.written[self._seen :])
        for part in filter(None, drawn):
            self._show(part)
            self.frames.append(self.screen.text)
        return bool(portion)

    def _show(self, part: bytes) -> None:
        self.screen.write(part)
        self._seen += len(part)
