"""What is longer than the screen goes through a pager, as with git.

The pager is the user's own: ``CODEBATCH_PAGER``, ``PAGER``, else ``less``; there is none where one
of these is empty or ``cat``, where the terminal is dumb, with ``--no-pager``, and where the program
is not there. Lines are made as the pager takes them. A reader who leaves early has seen enough,
which is no error; what is meant for stderr meanwhile is shown once the pager has ended.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from typing import IO, cast

import click

from codebatch.display.widths import text_width
from codebatch.runtime.lazy import lazily
from codebatch.runtime.programs import find_program

with lazily():
    import shutil
    import subprocess

NO_PAGER = "codebatch.no_pager"  # in the context of the root command
_DEFAULT = "less"
_NONE = ("", "cat")
# Quit on one screen, pass colours on, leave the text on the screen: git's own choice.
_DEFAULTS_OF_PAGERS = {"LESS": "FRX", "LV": "-c"}
_FOR_THE_SHELL = frozenset("|&;<>()$`\\\"'*?[#~=%")


def is_paged() -> bool:
    """Return True if what is longer than the screen goes through a pager."""
    return _command() is not None


def write_lines(lines: Iterable[str]) -> None:
    """Write the lines to the terminal, through a pager if they do not fit on its screen."""
    command = _command()
    if command is None:
        _echo(lines)
        return
    with _messages_held():
        lines = iter(lines)
        first = list(_screenful(lines))
        following = next(lines, None)
        if following is None:
            _echo(first)
        else:
            _page(command, itertools.chain(first, [following], lines))


def _command() -> list[str] | None:
    """Return the command line of the pager, or None where there is none."""
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(NO_PAGER):
        return None
    if os.environ.get("TERM", "dumb") == "dumb":
        return None
    words = os.environ.get("CODEBATCH_PAGER", os.environ.get("PAGER", _DEFAULT)).strip()
    if words in _NONE:
        return None
    if not _FOR_THE_SHELL.isdisjoint(words):
        return ["/bin/sh", "-c", words]
    name, *arguments = words.split()
    program = name if os.path.isabs(name) else find_program(name)
    return None if program is None else [program, *arguments]


def _screenful(lines: Iterator[str]) -> Iterator[str]:
    """Yield lines as long as they leave one row of the screen free."""
    size = shutil.get_terminal_size()
    left = size.lines - 1
    while left > 0:
        line = next(lines, None)
        if line is None:
            return
        yield line
        rows = click.unstyle(line).split("\n")
        left -= sum(max(1, -(-text_width(row) // size.columns)) for row in rows)


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _page(command: list[str], lines: Iterable[str]) -> None:
    sys.stdout.flush()
    environment = {**_DEFAULTS_OF_PAGERS, **os.environ}
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    except OSError:  # what is there by that name is no program
        _echo(lines)
        return
    stream = cast("IO[bytes]", process.stdin)
    try:
        _feed(stream, lines)
    finally:
        _wait(process, stream)


def _feed(stream: IO[bytes], lines: Iterable[str]) -> None:
    """Write until all is written, or the reader has left or wants no more (Ctrl-C)."""
    context = click.get_current_context(silent=True)
    plain = context is not None and context.color is False
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        for line in lines:
            text = click.unstyle(line) if plain else line
            stream.write(f"{text}\n".encode(encoding, "backslashreplace"))


def _wait(process: subprocess.Popen[bytes], stream: IO[bytes]) -> None:
    """Wait for the pager to end: the terminal is its own until then, and so is Ctrl-C."""
    with contextlib.suppress(BrokenPipeError):
        stream.close()
    while process.returncode is None:
        with contextlib.suppress(KeyboardInterrupt):
            process.wait()


class _Held(io.StringIO):
    def isatty(self) -> bool:
        """Return True: what is held is for a terminal, with its colours."""
        return True


@contextlib.contextmanager
def _messages_held() -> Iterator[None]:
    """Keep what is written to a terminal as stderr until the end of the block."""
    stderr = sys.stderr
    if not stderr.isatty():
        yield
        return
    sys.stderr = held = _Held()
    try:
        yield
    finally:
        sys.stderr = stderr
        click.echo(held.getvalue(), err=True, nl=False)
