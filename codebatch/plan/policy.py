"""What a project says of all of its pipelines: settings of tasks, by name, and levels of findings.

A `Policy` may stand wherever settings of a pipeline do. Unlike what a command line says of one
pipeline, what it says of a task that a pipeline lacks waits for a pipeline that has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from codebatch.display.displayed import Displayed
from codebatch.model.patterns import rebased
from codebatch.tasks.levels import NO_LEVELS, Levels

Settings = Mapping[str, Mapping[str, object]]  # by the name of a task


@dataclass(frozen=True, repr=False)
class Policy(Displayed, Settings):
    """Settings by task: ``defaults`` for tasks that are there, ``given`` laid over them for tasks
    that must be. ``known`` are names of tasks that may be there, and ``where`` is what messages
    call the defaults. The patterns of ``levels`` are relative to ``folder``; None is any root.
    Defaults that nobody vouches for have ``ways_out``, hints, and say nothing of programs.
    """

    defaults: Settings = field(default_factory=dict)
    given: Settings = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    where: str = "the configuration"
    levels: Levels = NO_LEVELS
    folder: str | None = None
    ways_out: tuple[str, ...] = ()

    def over(self, settings: Settings | None) -> Policy:
        """Return the policy with more settings laid over it, one by one."""
        more = settings or {}
        names = dict.fromkeys((*self.given, *more))
        merged = {name: {**self.given.get(name, {}), **more.get(name, {})} for name in names}
        return replace(self, given=merged)

    def at(self, root: str | None) -> Policy:
        """Return the policy for a tree whose root is a folder, where that is known. In a tree that
        is elsewhere, patterns are relative to its root.
        """
        if root is None or self.folder is None or not self.levels.per_path:
            return self
        folder, top = os.path.realpath(self.folder), os.path.realpath(root)
        per_path = tuple(
            (one, levels)
            for pattern, levels in self.levels.per_path
            for one in rebased([pattern], folder, top)
        )
        return replace(self, levels=replace(self.levels, per_path=per_path), folder=root)

    def __getitem__(self, name: str) -> Mapping[str, object]:
        if name not in self.defaults and name not in self.given:
            raise KeyError(name)
        return {**self.defaults.get(name, {}), **self.given.get(name, {})}

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.defaults, *self.given)))

    def __len__(self) -> int:
        return len({*self.defaults, *self.given})
