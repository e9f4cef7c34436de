"""Front ends by language. Parsers are imported on first use only: they are heavy."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any

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
def _front_end(language: str) -> Any:
    return importlib.import_module(_FRONTENDS[language])


def parser_for(language: str) -> Callable[[Source], Parsed] | None:
    """Return what parses a file in a language, None where no parser knows it."""
    return _front_end(language).parse_file if is_parsed(language) else None


def read_tree(source: Source) -> object:
    """Return the syntax tree of a file in a language that is parsed, which nothing else has: an
    `ast.Module`, or a node of tree-sitter; None where the language rejects the file.
    """
    return _front_end(source.language).read_tree(source)
