"""What a project says of all of its pipelines: settings of tasks, by name.

A `Policy` may stand wherever settings of a pipeline do. Unlike what a command line says of one
pipeline, what it says of a task that a pipeline lacks waits for a pipeline that has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

Settings = Mapping[str, Mapping[str, object]]  # by the name of a task


@dataclass(frozen=True)
class Policy(Settings):
    """Settings by task: ``defaults`` for tasks that are there, ``given`` laid over them for tasks
    that must be. ``known`` are names of tasks that may be there, and ``where`` is what messages
    call the defaults.
    """

    defaults: Settings = field(default_factory=dict)
    given: Settings = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    where: str = "the configuration"

    def over(self, settings: Settings | None) -> Policy:
        """Return the policy with more settings laid over it, one by one."""
        more = settings or {}
        names = dict.fromkeys((*self.given, *more))
        merged = {name: {**self.given.get(name, {}), **more.get(name, {})} for name in names}
        return replace(self, given=merged)

    def __getitem__(self, name: str) -> Mapping[str, object]:
        if name not in self.defaults and name not in self.given:
            raise KeyError(name)
        return {**self.defaults.get(name, {}), **self.given.get(name, {})}

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.defaults, *self.given)))

    def __len__(self) -> int:
        return len({*self.defaults, *self.given})
