"""Ask a cluster what it runs with, before work is sent to it."""

from __future__ import annotations

from typing import Any, NamedTuple

from codebatch.graph.cluster import connect
from codebatch.surroundings import Facts, look_around


class ClusterFacts(NamedTuple):
    """What the processes of a cluster say: the scheduler its versions of packages (that of Python
    among them), each worker by its address its facts, or the error it gave instead.
    """

    scheduler: dict[str, str]
    workers: dict[str, Facts | str]


def look_at_cluster(scheduler: str, store: str | None, store_id: str | None) -> ClusterFacts:
    """Ask the scheduler and each worker; `ClusterError` where the scheduler cannot be reached."""
    with connect(scheduler) as client:
        versions = client.get_versions(check=False)["scheduler"]["packages"]
        answers = client.run(look_around, store, store_id, on_error="return")
    return ClusterFacts(
        {name: str(found) for name, found in versions.items() if found},
        {address: _answer(answer) for address, answer in sorted(answers.items())},
    )


def _answer(answer: Any) -> Facts | str:
    """What a worker said; between versions of ours, facts may have other fields."""
    return answer if isinstance(answer, Facts) else f"{type(answer).__name__}: {answer}"
