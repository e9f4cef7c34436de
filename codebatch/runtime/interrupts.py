"""Interrupts (Ctrl-C) that are taken where work can stop, not wherever it is.

A `KeyboardInterrupt` in the middle of `queue.Queue.get` or `threading.Event.wait` may leave their
lock held for good, and the threads that want it then wait for ever. So what works with threads
defers interrupts (`deferred`), and takes them at points of its choice (`check`).

Python interrupts the main thread alone. Work in another thread has an `Interruption`, by which any
thread may ask it to end; it is taken by a `check`, and nowhere else.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import FrameType

Action = Callable[[], None]
Handler = Callable[[int, FrameType | None], object] | int | None  # as `signal` has them


class _Deferral:
    """A handler of SIGINT that puts interrupts off, in the place of an ``earlier`` one.

    State: ``_pending`` tells that one has come and is not taken yet, ``_actions`` has what is to be
    done at those to come.
    """

    def __init__(self, earlier: Handler, actions: Iterator[Action]) -> None:
        self.earlier = earlier
        self._actions = actions
        self._pending = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        action = next(self._actions, None)
        if action is None:  # more interrupts than there are actions
            self._pending = False
            signal.signal(number, self.earlier)  # it may be too late for the block to do so
            signal.default_int_handler(number, frame)
        else:
            self._pending = _came[0] = True
            action()

    def take(self) -> bool:
        """Return whether an interrupt was pending, which is taken by that."""
        pending, self._pending = self._pending, False
        return pending


class Interruption:
    """Interrupts for work in a thread that is not the main one.

    State: ``_pending`` tells that one was asked for and is not taken yet, ``_actions`` has what is
    to be done at those to come, of each block of `deferred` that the work is in.
    """

    def __init__(self) -> None:
        self._pending = False
        self._actions: list[Iterator[Action]] = []

    def interrupt(self) -> None:
        """Interrupt the work at its next `check`, and do what its blocks do at an interrupt."""
        self._pending = _came[0] = True
        for actions in self._actions[::-1]:
            next(actions, _nothing)()

    def take(self) -> bool:
        """Return whether an interrupt was pending, which is taken by that."""
        pending, self._pending = self._pending, False
        return pending

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Have it interrupt this thread for a block."""
        _of_thread.interruption = self
        try:
            yield
        finally:
            _of_thread.interruption = None

    @contextlib.contextmanager
    def acting(self, actions: Iterator[Action]) -> Iterator[None]:
        """Have it do the actions for a block, one at each interrupt. What is pending at its end
        stays so: work that has come to its end returns what it has.
        """
        self._actions.append(actions)
        if self._pending:
            next(actions, _nothing)()
        try:
            yield
        finally:
            self._actions.pop()


_of_thread = threading.local()
_came = [False]  # whether any interrupt has: to ask what is in force costs much, for each file


def _nothing() -> None:
    """Do nothing at an interrupt."""


def deferred(first: Action = _nothing, *others: Action) -> AbstractContextManager[None]:
    """For a block, put interrupts off to the next `check`, or to its end. Each that comes calls one
    of the actions, in the order given; one more than there are is taken where it meets the block.

    In another thread than the main one, these are those of its `Interruption`, if it has one, which
    wait for a `check`. A program that handles interrupts in another way than Python does is left
    alone.
    """
    actions = iter((first, *others))
    if (interruption := _own()) is not None:
        return interruption.acting(actions)
    earlier = signal.getsignal(signal.SIGINT)
    is_ours = earlier is signal.default_int_handler or isinstance(earlier, _Deferral)
    if not is_ours or not _is_main():
        return contextlib.nullcontext()
    return _Deferred(_Deferral(earlier, actions))


def allowed() -> AbstractContextManager[None]:
    """For a part of a block in which interrupts are put off, take them where they come."""
    deferral = _in_force()
    return contextlib.nullcontext() if deferral is None else _Allowed(deferral)


# These two are no generators: an interrupt can keep one from its end, and that comes then at some
# other time, when it is collected.
class _Deferred:
    """Has a deferral handle interrupts for a block."""

    def __init__(self, deferral: _Deferral) -> None:
        self._deferral = deferral

    def __enter__(self) -> None:
        signal.signal(signal.SIGINT, self._deferral)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._deferral.earlier)
        if self._deferral.take():
            signal.raise_signal(signal.SIGINT)


class _Allowed:
    """Has Python handle interrupts for a block, and the deferral after it."""

    def __init__(self, deferral: _Deferral) -> None:
        self._deferral = deferral

    def __enter__(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._deferral.take():
            signal.signal(signal.SIGINT, self._deferral)
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._deferral)


def check() -> None:
    """Raise `KeyboardInterrupt` if an interrupt was put off."""
    if is_interrupted():
        raise KeyboardInterrupt


def is_interrupted() -> bool:
    """Return whether an interrupt was put off, which is taken by that."""
    deferral = (_own() or _in_force()) if _came[0] else None
    return deferral is not None and deferral.take()


def _own() -> Interruption | None:
    """Return what interrupts this thread, where it is not the main one and has that."""
    return getattr(_of_thread, "interruption", None)


def _in_force() -> _Deferral | None:
    """Return what defers the interrupts of this thread, if anything does."""
    handler = signal.getsignal(signal.SIGINT)
    return handler if isinstance(handler, _Deferral) and _is_main() else None


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
