"""Front ends by language. Parsers are imported on first use only: they are heavy."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from codebatch.tasks.languages.base import Parsed, Source

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
def parser_for(language: str) -> Callable[[Source], Parsed] | None:
    """Return what parses a file in a language, None where no parser knows it."""
    module = _FRONTENDS.get(language)
    if module is None:
        return None
    return cast("Callable[[Source], Parsed]", importlib.import_module(module).parse_file)
