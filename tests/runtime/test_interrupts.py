"""Interrupts end a run, wherever they meet it; here at random instants, thousands of them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from conftest import TREE, Interrupt, Note, write_tree

import codebatch
from codebatch.batch.dispatch import run_suspects
from codebatch.model.messages import Receipt, ShardCall
from codebatch.runtime.interrupts import Interruption, allowed, check, deferred

# A seed of one's own: INTERRUPT_SEED=1 pytest …
SEED = os.environ.get("INTERRUPT_SEED", "20261126")
LINES = int(os.environ.get("INTERRUPT_LINES", "60"))
PACKAGE = Path(codebatch.__file__).parent

# Runs calls that are refused at once, so that nearly all time goes by between the threads.
RUNS = """
import faulthandler, random, signal, sys, time
from codebatch.batch.dispatch import run_locally
from codebatch.batch.scheduler import SchedulerChoice
from codebatch.model.messages import ShardCall

calls = [ShardCall("/nowhere", "", "batch-0", f"{i:02x}", f"{i:02x}") for i in range(64)]
choice = SchedulerChoice(sys.argv[1], 2)
run = lambda: run_locally(calls, choice, lambda _: None)
random = random.Random(int(sys.argv[2]))
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
run()
began = time.monotonic()
run()
usual = time.monotonic() - began
interrupted = 0
while time.monotonic() < began + float(sys.argv[3]) or interrupted < 10:
    faulthandler.dump_traceback_later(120, exit=True)
    try:
        signal.setitimer(signal.ITIMER_REAL, usual * random.random())
        run()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
print(interrupted)
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_no_instant_is_a_bad_one(scheduler: str, note: Note) -> None:
    command = [sys.executable, "-c", RUNS, scheduler, SEED, "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 10
    note(f"{scheduler}: interrupted {int(done.stdout):,} times, seed {SEED}")


def test_shards_that_run_one_by_one_end_at_once_in_a_session(interrupt: Interrupt) -> None:
    """As those do that workers of a cluster left undone: nothing else asks for interrupts there."""
    calls = [ShardCall("/nowhere", "", "batch-0", f"{n:02x}", f"{n:02x}") for n in range(3)]
    receipts: list[Receipt] = []

    def note(receipt: Receipt) -> None:
        receipts.append(receipt)
        interrupt()

    with pytest.raises(KeyboardInterrupt), deferred():
        run_suspects(calls, note, lambda _: None)
    assert len(receipts) == 1


# -- what is put off -----------------------------------------------------------------------------


def interrupted(act: Callable[[], object]) -> bool:
    """Whether an interrupt comes out of a function."""
    try:
        act()
    except KeyboardInterrupt:
        return True
    return False


def test_interrupts_are_put_off_to_a_check(interrupt: Interrupt) -> None:
    said: list[str] = []
    with deferred(lambda: said.append("first"), lambda: said.append("second")):
        interrupt()
        assert interrupted(check)
        assert not interrupted(check)
        interrupt()
        assert interrupted(check)
        assert said == ["first", "second"]
        assert interrupted(interrupt)  # no longer
        assert not interrupted(check)


def test_interrupts_are_put_off_to_the_end(interrupt: Interrupt) -> None:
    said: list[str] = []

    def act() -> None:
        with deferred(), deferred():
            interrupt()
            said.append("in the inner block")

    assert interrupted(act)
    assert said == ["in the inner block"]


def test_second_interrupt_of_an_inner_block_is_all_there_is(interrupt: Interrupt) -> None:
    def act() -> None:
        with deferred():
            interrupt()
            interrupt()

    with deferred():
        assert interrupted(act)
        assert not interrupted(check)


def test_blocks_of_another_thread_put_off_to_a_check() -> None:
    said: list[str] = []
    interruption = Interruption()

    def work() -> None:
        with interruption.applied(), deferred(lambda: said.append("outer")):
            with deferred(lambda: said.append("inner")):
                interruption.interrupt()
            said.append("goes on")
            assert interrupted(check)
            interruption.interrupt()
        said.append("end")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == ["inner", "outer", "goes on", "end"]


Around = Callable[[], None]


@pytest.fixture
def just_before(monkeypatch: pytest.MonkeyPatch, interrupt: Interrupt) -> Around:
    """Callable that has an interrupt come just before Python's own handler is set the next time."""
    set_handler, coming = signal.signal, iter([interrupt])

    def handle(number: int, handler: signal.Handlers) -> object:
        if handler is signal.default_int_handler:
            next(coming, lambda: None)()
        return set_handler(number, handler)

    return lambda: monkeypatch.setattr("signal.signal", handle)


def test_last_interrupt_of_a_block_leaves_nothing_behind(
    interrupt: Interrupt, just_before: Around
) -> None:
    def act() -> None:
        with deferred():
            interrupt()
            just_before()

    assert interrupted(act)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_just_before_they_are_allowed_is_taken(
    interrupt: Interrupt, just_before: Around
) -> None:
    def act() -> None:
        with allowed():
            pytest.fail("it was put off")

    def act_interrupted() -> None:
        with allowed():
            interrupt()

    with deferred():
        assert interrupted(act_interrupted)
        just_before()
        assert interrupted(act)


def test_handler_of_a_program_is_left_alone(interrupt: Interrupt) -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    with deferred(), allowed():
        interrupt()
        check()
        assert came == [signal.SIGINT]
    signal.signal(signal.SIGINT, before)


def test_other_threads_take_none(interrupt: Interrupt) -> None:
    taken: list[bool] = []

    def work() -> None:
        with deferred(), allowed():
            taken.append(interrupted(check))

    with deferred():
        interrupt()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        taken.append(interrupted(check))
    assert taken == [False, True]


class Tracer:
    """Interrupts this process at a line of the package, or of `contextlib`, by its number."""

    def __init__(self, at: int = 0) -> None:
        self.lines = 0
        self.where = ""
        self._at = at

    def __call__(self, frame: FrameType, _event: str, _argument: object) -> Any:
        name = frame.f_code.co_filename
        is_ours = name.startswith(str(PACKAGE)) or name == contextlib.__file__
        return self._line if is_ours else None

    def _line(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event in ("line", "return"):
            self.lines += 1
            if self.lines == self._at:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                signal.raise_signal(signal.SIGINT)
        return self._line

    def trace(self, act: Callable[[], object]) -> BaseException | None:
        """Do something with this at work; return what has interrupted it."""
        sys.settrace(self)
        try:
            act()
        except KeyboardInterrupt as error:
            return error
        finally:
            sys.settrace(None)
        return None


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
@pytest.mark.usefixtures("interrupt")  # which handles it as Python does
def test_an_interrupt_at_any_line_leaves_nothing(
    scheduler: str, tmp_path: Path, note: Note
) -> None:
    """No lease, no lock, nothing half: the process goes on, as the kernel of a notebook does."""
    tree = write_tree(
        tmp_path / "tree", {name: TREE[name] for name in ("pkg/cart.py", "README.md")}
    )

    def scan(name: str) -> Callable[[], object]:
        place = tmp_path / name
        return lambda: codebatch.scan(tree, place, pipeline="parse", scheduler=scheduler)

    scan("first")()
    counting = Tracer()
    counting.trace(scan("traced"))
    rng = random.Random(SEED)
    raised = []  # with their tracebacks, which keep alive what they have met
    for number in range(LINES):
        tracer = Tracer(rng.randrange(1, counting.lines + 1))
        raised.append(tracer.trace(scan(f"store-{number}")))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, tracer.where
        store = codebatch.open_store(tmp_path / f"store-{number}", create=True)
        assert not [*store.path.glob("leases/*")], tracer.where
        assert store.verify(read_data=True).ok, tracer.where
        store.gc(grace=0)
        scan(f"store-{number}")()
        assert store.find_batch().status()["status"] == "done", tracer.where
    note(f"{scheduler}: interrupted at {LINES} of {counting.lines:,} lines, seed {SEED}")
    assert any(raised)
