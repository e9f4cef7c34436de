"""Front ends by language. Parsers are imported on first use only: they are heavy."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from codebatch.tasks.languages.base import Frontend

_FRONTENDS = {
    "python": "codebatch.tasks.languages.python.frontend",
    "javascript": "codebatch.tasks.languages.ecmascript.frontend",
    "jsx": "codebatch.tasks.languages.ecmascript.frontend",
    "typescript": "codebatch.tasks.languages.ecmascript.frontend",
    "tsx": "codebatch.tasks.languages.ecmascript.frontend",
}


def is_parsed(language: str) -> bool:
    """Return whether there is a parser for a language."""
    return language in _FRONTENDS


@functools.cache
def frontend_for(language: str) -> Frontend | None:
    """The front end for a language, or None where no parser knows it."""
    module = _FRONTENDS.get(language)
    return cast("Frontend", importlib.import_module(module).FRONTEND) if module else None
