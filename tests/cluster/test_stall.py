"""A cluster that gives no answer for long: it is said after a minute, and then now and then."""

from __future__ import annotations

import jsonschema
import pytest

import codebatch
from codebatch.batch.journal import Journal
from codebatch.cluster.stall import Patience, Stall, StallWatch, places_of
from codebatch.model.resources import load_schema


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def said(watch: StallWatch, clock: Clock, until: int) -> list[float]:
    """When it is said, looked at each second from now on."""
    times = []
    for second in range(int(clock.now), until):
        clock.now = float(second)
        if watch.seconds() is not None:
            times.append(clock.now)
    return times


def test_it_is_said_after_a_minute_and_then_every_five(clock: Clock) -> None:
    watch = StallWatch(clock=clock)
    assert said(watch, clock, 800) == [60, 360, 660]


def test_progress_begins_anew(clock: Clock) -> None:
    watch = StallWatch(Patience(10, 50), clock)
    assert said(watch, clock, 15) == [10]
    watch.progress()
    assert said(watch, clock, 30) == [24]


def test_what_is_known_is_in_one_line() -> None:
    keys = [("shard-full-00-00", "3f"), ("part-full-00-00", "07.1-4"), ("shard-full-00-00", "a0")]
    places = places_of(keys)
    assert places == ("part 07.1-4", "shard 3f", "shard a0")
    stall = Stall(61.2, 5, {"w1": places, **{f"w{n}": ("shard 1",) for n in range(2, 9)}})
    assert str(stall) == (
        "no answer for 61 s: 5 calls are out; w1 is at part 07.1-4, shard 3f and more; "
        "w2 is at shard 1; w3 is at shard 1; w4 is at shard 1; w5 is at shard 1; 3 more workers"
    )
    assert "no worker has any" in str(Stall(60, 5, {}))


def test_it_is_an_event(batch: codebatch.Batch) -> None:
    journal = Journal(batch.directory, batch.id, None)
    journal.on_stall({"seconds": 61.5, "calls": 5, "workers": ["w1"]})
    (event,) = batch.directory.batches.latest_events(batch.id)
    assert event["event"] == "run-stalled"
    jsonschema.Draft202012Validator(load_schema("event")).validate(event)
