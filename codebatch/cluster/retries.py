"""Which calls are made again on a cluster, and which of its workers then get no more."""

from __future__ import annotations

from collections.abc import Mapping

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.window import Lost
from codebatch.model.errors import PASSING_TROUBLES, UNFIT_SURROUNDINGS

MAX_TRIES = 4

_UNFIT = frozenset(error.code for error in UNFIT_SURROUNDINGS)
_PASSING = frozenset(error.code for error in PASSING_TROUBLES)


def is_worth_another_try(
    cluster: Cluster, error: Mapping[str, object] | None, worker: str | None, tries: int
) -> bool:
    """Whether a call that came to nothing may come to something when it is made again; a worker
    that can do none of this run's work gets no more of it.
    """
    code = (error or {}).get("code")
    if tries + 1 >= MAX_TRIES:
        return False
    if code in _UNFIT and worker is not None:
        return cluster.avoid(worker, str((error or {}).get("message")))
    return code in _PASSING


def is_worth_after_loss(lost: Lost, tries: int) -> bool:
    """Whether a call that was lost is made again: always, unless it may be to blame itself."""
    return not lost.is_blamed or tries + 1 < MAX_TRIES
