"""The part of a task's fingerprint that stands for its code.

``modules`` has a digest for each module of the user's own that the task reaches, and for a function
that is in no module (of a notebook, of ``__main__``, within another function) one by itself;
``globals`` has the values that such a function reads, ``distributions`` the versions of what is
installed. All are by name, so that a plan can be compared with another one part by part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from codebatch.model.digest import Document, digest_document
from codebatch.model.errors import TaskCodeError
from codebatch.model.keys import CODE_PARTS
from codebatch.tasks.code.distributions import MISSING, version_of

_PRESENT = "there"  # the version of a module that a plan says is not


@dataclass(frozen=True)
class Code:
    """All code that the results of a task depend on, by digests and versions."""

    modules: Mapping[str, str]
    globals: Mapping[str, str]
    distributions: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The digest of all parts."""
        return digest_document("task-code", self._parts())

    def as_document(self) -> Document:
        """The component ``code`` of a fingerprint."""
        return {**self._parts(), "digest": self.digest}

    def here(self) -> Code:
        """Return the same code with the distributions that this process has."""
        return Code(
            self.modules,
            self.globals,
            {name: _version_here(name, known) for name, known in self.distributions.items()},
        )

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Code:
        """Parse the component of a plan."""
        parts = (cast("Mapping[str, str]", document.get(part, {})) for part in CODE_PARTS)
        return cls(*map(dict, parts))

    def _parts(self) -> Document:
        return {
            "modules": dict(sorted(self.modules.items())),
            "globals": dict(sorted(self.globals.items())),
            "distributions": dict(sorted(self.distributions.items())),
        }


def _version_here(name: str, known: str) -> str:
    """Return the version of a distribution, or of a module that was not there for the plan."""
    found = version_of(name)
    return _PRESENT if known == found == MISSING and _is_there(name) else found


def _is_there(module: str) -> bool:
    from codebatch.tasks.code.modules import Finder  # noqa: PLC0415 - for such modules alone

    try:
        return Finder().find(module) is not None
    except TaskCodeError:  # it is there, and something is wrong with it
        return True
