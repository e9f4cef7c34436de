"""How a run is to be done, apart from where."""

from __future__ import annotations

from dataclasses import dataclass, field

from codebatch.batch.sharing import OnWait
from codebatch.cluster.settings import ClusterSettings
from codebatch.model.limits import Limits, choose_limits


@dataclass(frozen=True)
class RunSettings:
    """How to run. With ``require_reused`` nothing is computed: `NotReusedError` where something
    would have to be. ``limits`` hold in worker processes. With ``retry_quarantined``, what was
    given up is tried again, in shards that are done as well. With ``anew``, nothing is taken over
    from other batches. ``on_wait`` is called when all that is
    left to do is waiting for other runs of the batch.
    """

    require_reused: bool = False
    retry_quarantined: bool = False
    anew: bool = False
    limits: Limits = field(default_factory=choose_limits)
    on_wait: OnWait | None = None
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
