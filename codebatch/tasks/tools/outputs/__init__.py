"""Findings read from what a tool prints, by the format that its description states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from codebatch.tasks.tools.outputs.json_findings import json_problems, read_json, read_json_lines
from codebatch.tasks.tools.outputs.lines import lines_problems, read_lines
from codebatch.tasks.tools.outputs.said import Said, UnreadableOutputError
from codebatch.tasks.tools.outputs.sarif import read_sarif
from codebatch.tasks.tools.outputs.xml import read_checkstyle, read_junit

__all__ = ["Said", "UnreadableOutputError", "output_problems", "read_findings"]

_READERS: Mapping[str, Callable[[Mapping[str, Any], bytes], Iterator[Said]]] = {
    "sarif": read_sarif,
    "json": read_json,
    "json-lines": read_json_lines,
    "lines": read_lines,
    "checkstyle": read_checkstyle,
    "junit": read_junit,
}
_PROBLEMS = {"json": json_problems, "json-lines": json_problems, "lines": lines_problems}
_OWN = {
    **dict.fromkeys(("results", "fields", "where"), ("json", "json-lines")),
    "pattern": ("lines",),
    **dict.fromkeys(
        ("line_base", "column_base"), tuple(name for name in _READERS if name != "sarif")
    ),
}


def read_findings(output: Mapping[str, Any], data: bytes) -> Iterator[Said]:
    """Yield the findings in ``data``, an output as the ``output`` of a description says; none where
    its format is not one of findings. `UnreadableOutputError` may come after some of them.
    """
    read = _READERS.get(output["format"])
    for found in read(output, data) if read is not None else ():
        yield found if found.code else found._replace(code=output.get("code", ""))


def output_problems(output: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with an ``output`` that is as the schema says, each as one line that
    begins with the name of the field.
    """
    form = output["format"]
    wrong = [
        f"{name}: is for {' and '.join(formats)} alone"
        for name, formats in _OWN.items()
        if name in output and form not in formats
    ]
    if output.get("from") == "both" and form != "lines":
        wrong.append("from: both streams are for lines alone")
    problems = _PROBLEMS.get(form)
    return [*wrong, *(problems(output) if problems is not None else ())]
