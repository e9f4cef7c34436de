"""How the output of commands is read: lines by a pattern, and the JSON of well-known tools."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from codebatch.tasks.tools.imports.found import UntranslatableError

_GROUP = re.compile(r"\(\?P?<([A-Za-z_]\w*)>")
_GROUPS = {"col": "column"}
_KNOWN = {"path", "line", "column", "code", "message", "severity"}
_SEVERAL_LINES = re.compile(r"\\[nrR]|\n|\(\?[a-z]*[sm]")


def _pairs(words: str) -> dict[str, str]:
    """Return a table that is written as ``key=value`` words."""
    return dict(word.split("=", 1) for word in words.split())


def _json(results: str, fields: str, **more: Any) -> dict[str, Any]:
    return {"format": "json", "results": results, "fields": _pairs(fields), **more}


TRUNK_SEVERITIES = _pairs(
    "error=error deny=error warning=warning note=info notice=info info=info allow=info *=warning"
)
_LOUD = _pairs("error=error warning=warning info=info style=info *=warning")
_GRADED = _pairs(
    "error=error fatal=error warning=warning refactor=info convention=info info=info *=warning"
)
# Forms of output that trunk has names for, with the severities of their words.
TRUNK_OUTPUTS: Mapping[str, tuple[dict[str, Any], dict[str, str]]] = {
    "arcanist": (
        _json("[]", "path=Path line=Line column=Char code=Code message=Description"),
        {},
    ),
    "bandit": (
        _json(
            "results[]",
            "path=filename line=line_number column=col_offset code=test_id message=issue_text "
            "severity=issue_severity",
            column_base=0,
        ),
        _pairs("high=error medium=warning low=info *=warning"),
    ),
    "buildifier": (
        _json(
            "files[].warnings[]",
            "path=$1.filename line=start.line column=start.column code=category message=message",
        ),
        {},
    ),
    "eslint": (
        _json(
            "[].messages[]",
            "path=$1.filePath line=line column=column code=ruleId message=message "
            "severity=severity",
            code="syntax-error",
        ),
        _pairs("2=error 1=warning *=warning"),
    ),
    "hadolint": (
        _json("[]", "path=file line=line column=column code=code message=message severity=level"),
        _LOUD,
    ),
    "lsp_json": (
        _json(
            "[]",
            "line=range.start.line column=range.start.character code=code message=message "
            "severity=severity",
            line_base=0,
            column_base=0,
        ),
        _pairs("error=error warning=warning information=info hint=info *=warning"),
    ),
    "markdownlint": (
        _json(
            "[]",
            "path=fileName line=lineNumber column=errorRange.0 code=ruleNames.0 "
            "message=ruleDescription",
        ),
        {},
    ),
    "mypy": (
        {
            "format": "lines",
            "pattern": r"^(?P<path>.+?):(?P<line>\d+):(?:(?P<column>\d+):)? "
            r"(?P<severity>error|note): (?P<message>.*?)(?:  \[(?P<code>[\w-]+)\])?$",
        },
        _pairs("error=error note=info *=warning"),
    ),
    "pylint": (
        _json(
            "[]",
            "path=path line=line column=column code=message-id message=message severity=type",
            column_base=0,
        ),
        _GRADED,
    ),
    "rubocop": (
        _json(
            "files[].offenses[]",
            "path=$1.path line=location.line column=location.column code=cop_name "
            "message=message severity=severity",
        ),
        _GRADED,
    ),
    "sarif_uri": ({"format": "sarif"}, {}),
    "shellcheck": (
        _json("[]", "path=file line=line column=column code=code message=message severity=level"),
        _LOUD,
    ),
    "stylelint": (
        _json(
            "[].warnings[]",
            "path=$1.source line=line column=column code=rule message=text severity=severity",
        ),
        _LOUD,
    ),
}


def line_pattern(expression: str) -> str:
    """Return the pattern of a line for an expression of trunk's, with our names of groups."""
    if _SEVERAL_LINES.search(expression):
        raise UntranslatableError("parse_regex spans several lines")
    pattern = _GROUP.sub(lambda found: _group(found[1]), expression)
    try:
        groups = re.compile(pattern).groupindex
    except (re.error, OverflowError, RecursionError) as error:
        raise UntranslatableError(f"parse_regex cannot be used: {error}") from error
    if "message" not in groups:
        raise UntranslatableError("parse_regex has no group named message")
    return pattern


def _group(name: str) -> str:
    """The start of a named group; one that says nothing here has no name."""
    named = _GROUPS.get(name, name)
    return f"(?P<{named}>" if named in _KNOWN else "(?:"
