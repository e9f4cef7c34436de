"""The options of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from codebatch.cluster.settings import ClusterSettings
from codebatch.model.limits import Limits, choose_limits
from codebatch.model.messages import Waiting
from codebatch.model.records import ShardState
from codebatch.status.progress import RunProgress

Progress = Callable[[RunProgress], None]
OnWait = Callable[[Waiting], None]
States = Mapping[tuple[str, str], ShardState]  # by task and shard


@dataclass(frozen=True)
class RunOptions:
    """The options of a run of a batch.

    ``scheduler`` is a local one by its name, an address or a scheduler file, and ``workers`` how
    many a local one has; ``client``, a ``distributed.Client``, is used instead. ``progress`` is
    called when a shard is done or has failed, ``on_wait`` when all that is left to do is waiting
    for other runs of the batch.

    With ``require_reused`` nothing is computed: `NotReusedError` where something would have to be.
    With ``retry_quarantined``, what is quarantined is tried again, in shards that are done as well.
    With ``anew``, nothing is taken over from other batches; ``near`` are those to take over from,
    where it is known which have most of the files; else the newest are. ``verified`` has the states
    of such batches, by id, that this process has found to match their outputs; a run puts its own
    in their place. ``limits`` hold in worker processes. ``memo`` is a remote that shares results:
    a folder or a URL.
    """

    scheduler: str | None = None
    workers: int | None = None
    client: Any = None
    progress: Progress | None = None
    on_wait: OnWait | None = None
    require_reused: bool = False
    retry_quarantined: bool = False
    anew: bool = False
    near: tuple[str, ...] = ()
    verified: dict[str, States] | None = None
    limits: Limits = field(default_factory=choose_limits)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    memo: str | None = None

    def keep_verified(self, batch_id: str, states: States) -> None:
        """Put the states of a batch, found to match their outputs, in the place of earlier ones."""
        if self.verified is not None:
            self.verified.clear()
            self.verified[batch_id] = states
