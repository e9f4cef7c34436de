"""Pipelines drawn, perhaps with how far a batch is."""

from __future__ import annotations

import os
from collections.abc import Sequence

from codebatch.api.given import PathLike
from codebatch.display.card import state_bar
from codebatch.display.draw import Node, draw_svg, draw_text, scope_note
from codebatch.display.words import counted, printable
from codebatch.model.errors import UsageError
from codebatch.model.records import BATCH_SCOPE, PlannedTask
from codebatch.status.batch_status import BatchStatus
from codebatch.store.destination import writing_file


class Drawing:
    """A drawing of tasks and what they need: SVG in a notebook, text where it is printed."""

    def __init__(self, name: str, nodes: Sequence[Node]) -> None:
        self.name = name
        self.nodes = tuple(nodes)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"{printable(self.name)}\n{self}"

    def _repr_svg_(self) -> str:
        return self.svg()

    def text(self, *, ascii_only: bool = False) -> str:
        """Return the drawing as lines of text, of ASCII alone if need be."""
        return "\n".join(draw_text(self.nodes, ascii_only=ascii_only))

    def svg(self) -> str:
        """Return the drawing as SVG."""
        return draw_svg(self.name, self.nodes)

    def save(self, path: PathLike) -> None:
        """Write it to a file ``*.svg``; `OutputError` where that cannot be done."""
        name = os.fspath(path)
        if not name.lower().endswith(".svg"):
            raise UsageError(f"a drawing is written as SVG, not as {name}", hints=["name it *.svg"])
        with writing_file(name) as stream:
            stream.write(self.svg().encode())


def draw_batch(batch_status: BatchStatus) -> Drawing:
    """Return a drawing of the tasks of a batch, and how far each is."""
    plan = batch_status.plan
    nodes = [
        Node(
            task.id,
            scope_note(task.id, task.task, task.scope),
            task.needs,
            state_bar(batch_status.task_shards(task.id)),
            _words(batch_status, task),
        )
        for task in plan.tasks
    ]
    return Drawing(f"{plan.pipeline} of {batch_status.batch_id}", nodes)


def _words(batch_status: BatchStatus, task: PlannedTask) -> str:
    shards = state_bar(batch_status.task_shards(task.id))
    records = counted(batch_status.counts(task.id).records, "record")
    unit = "parts" if task.scope == BATCH_SCOPE else "shards"
    return f"{shards.words} {unit}, {records}"
