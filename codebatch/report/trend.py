"""How the numbers of batches went, as small lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codebatch.compare.trend import Measure, Measuring
from codebatch.export.sparklines import points_of
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

WIDTH, HEIGHT = 320, 36
_MEASURES = {"lines": "Lines", "complexity": "Complexity"}
_SEVERITIES = (("error", "Errors"), ("warning", "Warnings"), ("info", "Info"))

Named = tuple[str, BatchStatus]


@dataclass(frozen=True)
class Series:
    """A number of each batch. ``runs`` are the points of its lines, cut where it is not known."""

    name: str
    values: Sequence[Any]

    @property
    def runs(self) -> list[str]:
        """The points of the lines, as SVG has them."""
        return points_of(self.values, WIDTH, HEIGHT)

    @property
    def known(self) -> list[Any]:
        """The values that are known."""
        return [value for value in self.values if value is not None]


def load_trend(store: StoreDirectory, batches: Sequence[Named]) -> list[Series]:
    """Return the series of the batches, in their order; those that have no number in any are left
    out.
    """
    measuring = Measuring(store, [Measure(name) for name in _MEASURES])
    counts = [batch.counts() for _, batch in batches]
    measured = [measuring.values(batch) for _, batch in batches]
    # A sum of nothing is known to be zero where something was measured.
    none = [0 if _is_measured(batch) else None for _, batch in batches]
    series = [
        Series("Files", [batch.plan.files for _, batch in batches]),
        *(
            Series(title, [one[name] or least for one, least in zip(measured, none, strict=True)])
            for name, title in _MEASURES.items()
        ),
        Series("Findings", [one.diagnostics for one in counts]),
        *(Series(title, [one.by_severity.get(n, 0) for one in counts]) for n, title in _SEVERITIES),
    ]
    return [one for one in series if any(one.values)]


def _is_measured(batch: BatchStatus) -> bool:
    return any(task.task == "analyze" for task in batch.plan.tasks)
