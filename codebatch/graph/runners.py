"""How nodes run in this process: as a run of ours has chosen for its threads, if it has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import NamedTuple

from codebatch.model.messages import Receipt, ShardCall
from codebatch.reduction.messages import NodeCall, NodeReceipt
from codebatch.reduction.run import run_node
from codebatch.shard.run import run_shard


class Runners(NamedTuple):
    """The functions that run a shard and a node; by default, in this process."""

    run_shard: Callable[[ShardCall], Receipt] = run_shard
    run_node: Callable[[NodeCall], NodeReceipt] = run_node


_chosen: ContextVar[Runners | None] = ContextVar("_chosen", default=None)


@contextlib.contextmanager
def running_by(chosen: Runners) -> Iterator[None]:
    """For a block, have nodes that run in this context run by these functions."""
    token = _chosen.set(chosen)
    try:
        yield
    finally:
        _chosen.reset(token)


def runners() -> Runners | None:
    """Return the functions that were chosen for this context; None for none."""
    return _chosen.get()
