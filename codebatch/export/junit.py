"""JUnit's XML, as CI servers read it: a suite a file, and a failed test case for each finding.

Against a base, only findings that are new or more severe are written. A test case is named after
the code and the fingerprint, so that it has one history over moved lines. Without a finding there
is one that has passed, as servers take an empty report for a mistake. Characters that XML does not
have, and those that could steer a terminal, are escaped as in the logs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import BinaryIO

from codebatch.export.results import Result, load_results, place_of, severity_of
from codebatch.export.selection import ExportReport, Selection
from codebatch.export.text import log_text
from codebatch.query.rules import rule_of
from codebatch.tasks.rules import Rule

_NO_XML = {ord(character): f"\\u{ord(character):04x}" for character in "\ufffe\uffff"}
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_SPACE = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_ESCAPED = str.maketrans({**_MARKUP, **_SPACE})


def write_junit(selection: Selection, stream: BinaryIO) -> ExportReport:
    """The findings by path and place."""
    results = load_results(selection)
    news = sorted((result for result in results.each if result.is_news), key=place_of)
    numbers = _attributes(tests=max(len(news), 1), failures=len(news), errors=0)
    stream.write(b'<?xml version="1.0" encoding="UTF-8"?>\n')
    stream.write(f"<testsuites{_attributes(name='codebatch')}{numbers}>\n".encode())
    for path, of_file in itertools.groupby(news, lambda result: selection.place_of(result.record)):
        found = list(of_file)
        numbers = _attributes(tests=len(found), failures=len(found), errors=0, skipped=0)
        stream.write(f" <testsuite{_attributes(name=path)}{numbers}>\n".encode())
        for result in found:
            case = "".join(_case(result, path, rule_of(result.record, results.rules)))
            stream.write(case.encode())
        stream.write(b" </testsuite>\n")
    if not news:
        numbers = _attributes(tests=1, failures=0, errors=0, skipped=0)
        case = _attributes(classname="codebatch", name="no findings")
        stream.write(f' <testsuite name="codebatch"{numbers}>\n'.encode())
        stream.write(f"  <testcase{case}/>\n </testsuite>\n".encode())
    stream.write(b"</testsuites>\n")
    return ExportReport(len(news), notes=results.notes)


def _case(result: Result, path: str, rule: Rule) -> Iterator[str]:
    record = result.record
    name = f"{record['code']} {rule.title} ({record['fingerprint']})"
    where = f"{path}:{record['line']}:{record['column']}"
    message = str(record["message"])
    texts = filter(None, (f"{where}: {message}", rule.help, rule.link))
    yield f"  <testcase{_attributes(classname=path, name=name)}>\n"
    yield f"   <failure{_attributes(type=severity_of(result), message=message)}>"
    yield _xml("\n".join(texts)).replace("&#10;", "\n")
    yield "</failure>\n  </testcase>\n"


def _attributes(**values: object) -> str:
    return "".join(f' {name}="{_xml(value)}"' for name, value in values.items())


def _xml(value: object) -> str:
    return log_text(value).translate(_NO_XML).translate(_ESCAPED)
