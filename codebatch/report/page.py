"""The page: its template, style and script, and the policy that lets these alone be used."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files

import jinja2
from markupsafe import Markup

from codebatch.model.version import __version__
from codebatch.report.tables import script_json, shown

_HERE = files(__package__)
_TEMPLATE, _STYLE = "page.html", "page.css"
_SCRIPTS = ("common.js", "findings.js", "map.js", "tables.js")


def render(context: Mapping[str, object], data: object) -> str:
    """Return the page with a context for its template, and data for its script."""
    style, parts = _text(_STYLE), "".join(map(_text, _SCRIPTS))
    script = f'\n"use strict";\n(() => {{\n{parts}}})();\n'
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        finalize=_finalized,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment.get_template(_TEMPLATE).render(
        context,
        policy=f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 - these two are files of this package
        script=Markup(script),  # noqa: S704
        data=Markup(script_json(data)),  # noqa: S704 - in which nothing is left that HTML knows
        version=__version__,
    )


def _finalized(value: object) -> object:
    """Return what is put into the page, which then escapes it: text as people can see it."""
    return value if isinstance(value, Markup | int | float) else shown(value)


def _number(value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _source(text: str) -> str:
    """Return what a policy calls a script or style of this very text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
