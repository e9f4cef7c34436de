"""What the page of a report costs: to write, to open, and at each key press in its search.

    python -m benchmarks.report --findings 50000

A batch with so many findings, each with a message of its own, is reported on, and the page is
opened in a headless Chromium, which has to be on PATH. The page itself measures: until it can be
used from when it began to load, and from each key event until the frame with the new list is
painted. Whatever else the machine does is part of that, and not of the processor time of the main
thread, which the browser tells beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.machine import describe_machine

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from browsers import Browser, Tab, find_chromium
from report_samples import large_batch

_READY = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
_WATCH = """(() => {
  window.taken = [];
  const input = document.querySelector('#search');
  input.addEventListener('keydown', (event) => {
    input.addEventListener('input', () => requestAnimationFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => taken.push(performance.now() - event.timeStamp);
      painted.port2.postMessage(0);
    }), { once: true });
  }, true);
})()"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line for each number."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--findings", type=int, default=50_000)
    parser.add_argument("--keys", default="value_7 module_04", help="what is typed in the search")
    parser.add_argument("--repeat", type=int, default=5, help="how often the page is opened")
    parser.add_argument("--scratch", type=Path, help="where to work; default: the temporary folder")
    chosen = parser.parse_args(arguments)
    if find_chromium() is None:
        parser.error("no Chromium is on PATH")
    for word, value in describe_machine(chosen.scratch or Path(tempfile.gettempdir())).items():
        print(f"{word}: {value}")
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as folder:
        _measure(Path(folder), chosen.findings, chosen.keys, chosen.repeat)


def _measure(folder: Path, findings: int, keys: str, repeat: int) -> None:
    batch = large_batch(folder, findings, files=max(1, findings // 50))
    began = time.perf_counter()
    written = batch.report(folder / "page.html")
    seconds = time.perf_counter() - began
    print(f"written: {written.written['findings']:,} findings in {seconds:.1f} s")
    print(f"size: {written.bytes / 1e6:.2f} MB; left out: {written.left_out or 'nothing'}")
    ready, busy, taken, worked = [], [], [], []
    with Browser() as browser:
        for _ in range(repeat):
            tab = browser.open("about:blank")
            tab.call("Performance.enable", timeDomain="threadTicks")
            tab.load((folder / "page.html").as_uri())
            ready.append(tab.evaluate(_READY))
            busy.append(_processor_time(tab))
            taken += _typed(tab, keys)
            worked.append((_processor_time(tab) - busy[-1]) / len(keys))
            tab.close()
    print(f"usable after: {_spread(ready)}; processor time {_spread(busy)}")
    print(f"a key press: {_spread(taken)}; processor time {_spread(worked)}")


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.0f} ms ({min(values):.0f} to {max(values):.0f})"


def _processor_time(tab: Tab) -> float:
    """Return the milliseconds that the main thread of a page has worked so far."""
    metrics = tab.call("Performance.getMetrics")["metrics"]
    return next(1000 * float(one["value"]) for one in metrics if one["name"] == "TaskDuration")


def _typed(tab: Tab, keys: str) -> list[float]:
    """Return the milliseconds of each key press."""
    tab.click("#search")
    tab.evaluate(_WATCH)
    for number, key in enumerate(keys, 1):
        tab.press(key)
        tab.wait_for(f"taken.length === {number}")
    found: list[float] = tab.evaluate("taken")
    return found


if __name__ == "__main__":
    main()
