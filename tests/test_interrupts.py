"""Interrupts end a run, wherever they meet it; here at random instants, thousands of them."""

import os
import subprocess
import sys

import pytest
from conftest import Interrupt, Note

from codebatch.batch.dispatch import run_suspects
from codebatch.interrupts import deferred
from codebatch.messages import Receipt, ShardCall

# A seed of one's own: INTERRUPT_SEED=1 pytest …
SEED = os.environ.get("INTERRUPT_SEED", "20261126")

# Runs calls that are refused at once, so that nearly all time goes by between the threads.
RUNS = """
import faulthandler, random, signal, sys, time
from codebatch.graph import run_in_processes, run_in_threads
from codebatch.messages import ShardCall

calls = [ShardCall("/nowhere", "", "batch-0", f"{i:02x}", f"{i:02x}") for i in range(64)]
run = {
    "threads": lambda: run_in_threads(calls, 2, lambda _: None, lambda _: None),
    "processes": lambda: run_in_processes(calls, 2, lambda _: None),
}[sys.argv[1]]
random = random.Random(int(sys.argv[2]))
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
run()
began = time.monotonic()
run()
usual = time.monotonic() - began
interrupted = 0
while time.monotonic() < began + float(sys.argv[3]):
    faulthandler.dump_traceback_later(20, exit=True)
    try:
        signal.setitimer(signal.ITIMER_REAL, usual * random.random())
        run()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
print(interrupted)
"""


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_no_instant_is_a_bad_one(scheduler: str, note: Note) -> None:
    command = [sys.executable, "-c", RUNS, scheduler, SEED, "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
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
