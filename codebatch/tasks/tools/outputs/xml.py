"""Findings in XML: the formats of checkstyle and of JUnit.

A document type is refused, so that there are no entities but the five of XML, and nothing is read
from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from xml.parsers import expat

from codebatch.tasks.tools.outputs.said import Said, UnreadableOutputError, place, said

Attributes = dict[str, str]

_CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_PLACE = re.compile(r"\bline (\d{1,10})(?:,? col(?:umn)? (\d{1,10}))?", re.IGNORECASE)


def read_checkstyle(output: Mapping[str, Any], data: bytes) -> Iterator[Said]:
    """Yield the findings of a document of checkstyle's form."""
    path, found = "", list[Said]()

    def start(name: str, attributes: Attributes) -> None:
        nonlocal path
        if name == "file":
            path = attributes.get("name", "")
        elif name == "error":
            code, message = attributes.get("source", ""), attributes.get("message", "")
            if not message and not code:
                raise UnreadableOutputError("an error has no message")
            line, column = _places(output, attributes.get("line"), attributes.get("column"))
            severity = attributes.get("severity", "")
            found.append(said(path, line, column, code, message or code, severity))

    _parse(data, ("checkstyle",), start)
    yield from found


def read_junit(output: Mapping[str, Any], data: bytes) -> Iterator[Said]:
    """Yield a finding for each failure and error of a document of JUnit's form.

    Its file is that of the test case, or else the file or the name of the suite; its place the line
    of the case, or else what the failure says in words.
    """
    reader = _JUnit(output)
    _parse(data, ("testsuites", "testsuite"), reader.start, reader.end, reader.text)
    yield from reader.found


class _JUnit:
    """Reads failures. State: ``_suites`` has the files of the suites that are open, ``_case`` the
    attributes of the case, ``_failure`` those of the failure, and its text in pieces.
    """

    def __init__(self, output: Mapping[str, Any]) -> None:
        self.found: list[Said] = []
        self._output = output
        self._suites: list[str] = []
        self._case: Attributes = {}
        self._failure: tuple[Attributes, list[str]] | None = None

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "testsuite":
            self._suites.append(attributes.get("file") or attributes.get("name", ""))
        elif name == "testcase":
            self._case = attributes
        elif name in ("failure", "error"):
            self._failure = attributes, []

    def text(self, text: str) -> None:
        if self._failure is not None:
            self._failure[1].append(text)

    def end(self, name: str) -> None:
        if name == "testsuite":
            self._suites.pop()
        elif name == "testcase":
            self._case = {}
        elif name in ("failure", "error") and self._failure is not None:
            self.found.append(self._said(name, *self._failure))
            self._failure = None

    def _said(self, severity: str, failure: Attributes, texts: list[str]) -> Said:
        text = "".join(texts).strip()
        lines = text.split("\n")
        of_case = self._case.get("name", "")
        message = ": ".join(filter(None, (of_case, failure.get("message") or lines[0])))
        if not message:
            raise UnreadableOutputError(f"a {severity} has no message")
        in_words = _PLACE.search(lines[0][:1000])
        line, column = in_words.groups() if in_words else (None, None)
        line, column = self._case.get("line", line), self._case.get("column", column)
        path = self._case.get("file") or (self._suites[-1] if self._suites else "")
        code = failure.get("type", "")
        return said(path, *_places(self._output, line, column), code, message, severity)


def _places(output: Mapping[str, Any], line: str | None, column: str | None) -> tuple[int, int]:
    bases = output.get("line_base", 1), output.get("column_base", 1)
    return place(line, bases[0]), place(column, bases[1])


def _parse(
    data: bytes,
    roots: tuple[str, ...],
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Have a document told, whose outermost element has one of the names."""
    parser = expat.ParserCreate("utf-8")

    def first(name: str, attributes: Attributes) -> None:
        if name not in roots:
            raise UnreadableOutputError(f"the document is <{name}>, not <{roots[0]}>")
        parser.StartElementHandler = start
        start(name, attributes)

    parser.StartElementHandler = first
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    cleaned = _CONTROLS.sub("\ufffd", data.decode("utf-8", "replace")).encode()
    try:
        parser.Parse(cleaned.lstrip(), True)  # noqa: FBT003 - it takes no keywords
    except expat.ExpatError as error:
        what = "nothing was printed" if not cleaned.strip() else f"not XML: {error}"
        raise UnreadableOutputError(what) from error


def _refuse(*_: object) -> None:
    raise UnreadableOutputError("it has a document type, which is not read")
