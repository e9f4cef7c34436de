"""Which of their many cases slow tests try: ``@pytest.mark.sample(40)`` tries 40 of all.

They are drawn by a stated seed, ``SAMPLE_SEED``; ``SAMPLE=all`` has every case tried.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict

import pytest

SEED = os.environ.get("SAMPLE_SEED", "20261201")
ALL = os.environ.get("SAMPLE") == "all"


def pytest_report_header() -> str:
    return "slow cases: all" if ALL else f"slow cases: a sample of seed {SEED}, or SAMPLE=all"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not drawn, as if it had been deselected."""
    if ALL:
        return
    cases: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sample"):
            cases[item.nodeid.partition("[")[0]].append(item)
    left_out = set()
    for name, listed in cases.items():
        mark = listed[0].get_closest_marker("sample")
        assert mark is not None
        number = min(mark.args[0], len(listed))
        drawn = random.Random(SEED + name).sample(listed, number)
        left_out |= {*listed}.difference(drawn)
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=sorted(left_out, key=lambda item: item.nodeid))
