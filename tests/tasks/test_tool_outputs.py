"""Findings read from what tools print: each format as tools write it, and as they should not."""

from __future__ import annotations

import json
import random
import re
import time

import pytest

from codebatch.model.resources import load_schema, schema_problems
from codebatch.tasks.tools.outputs import (
    Said,
    UnreadableOutputError,
    output_problems,
    read_findings,
)
from codebatch.tasks.tools.outputs.sarif import read_log


def read(output: dict, data: object) -> list[Said]:
    """Return the findings in an output, whose description must be right."""
    schema = load_schema("config.tool")["properties"]["output"]
    assert list(schema_problems(output, schema)) == []
    assert output_problems(output) == []
    if not isinstance(data, bytes):
        data = data.encode() if isinstance(data, str) else json.dumps(data).encode()
    return list(read_findings(output, data))


ESLINT = {
    "format": "json",
    "results": "[].messages[]",
    "fields": {
        "path": "$1.filePath",
        "line": "line",
        "column": "column",
        "code": "ruleId",
        "message": "message",
        "severity": "severity",
    },
    "code": "syntax-error",
}
PYRIGHT = {
    "format": "json",
    "results": "generalDiagnostics[]",
    "fields": {
        "path": "file",
        "line": "range.start.line",
        "column": "range.start.character",
        "code": "rule",
        "message": "message",
        "severity": "severity",
    },
    "line_base": 0,
    "column_base": 0,
}
BY_FILE = {
    "format": "json",
    "results": "{}[]",
    "fields": {"path": "{}", "line": "Line", "column": "Span.0", "code": "Check"}
    | {"message": "Message", "severity": "Severity"},
}
TYPOS = {
    "format": "json-lines",
    "where": {"type": "typo"},
    "fields": {"path": "path", "line": "line_num", "message": "`${typo}` -> ${corrections}"},
    "code": "typo",
}
SHELLCHECK = {
    "format": "json",
    "results": "comments[]",
    "fields": {"path": "file", "line": "line", "column": "column", "code": "SC${code}"}
    | {"message": "message", "severity": "level"},
}
TWO_LISTS = {
    "format": "json",
    "results": ["errors[]", "parse_errors[]"],
    "fields": {"path": ["filename", "file"], "message": ["message", "error"]},
}
SAMPLES = [
    (
        ESLINT,
        [
            {
                "filePath": "/x/a.js",
                "messages": [
                    {"ruleId": "no-var", "severity": 2, "message": "No var.", "line": 1}
                    | {"column": 5},
                    {"ruleId": None, "severity": 2, "message": "Parsing error", "line": 3},
                ],
            },
            {"filePath": "/x/b.js", "messages": []},
        ],
        [
            ("/x/a.js", 1, 5, "no-var", "No var.", "2"),
            ("/x/a.js", 3, 0, "syntax-error", "Parsing error", "2"),
        ],
    ),
    (
        PYRIGHT,
        {
            "version": "1.1",
            "generalDiagnostics": [
                {
                    "file": "/x/a.py",
                    "severity": "Error",
                    "message": "wrong\n\u00a0\u00a0really",
                    "range": {"start": {"line": 0, "character": 4}},
                    "rule": "reportX",
                }
            ],
        },
        [("/x/a.py", 1, 5, "reportX", "wrong\n\u00a0\u00a0really", "error")],
    ),
    (
        BY_FILE,
        {"a.md": [{"Line": 2, "Span": [3, 9], "Check": "V.Ly", "Message": "m"}], "b.md": []},
        [("a.md", 2, 3, "V.Ly", "m", "")],
    ),
    (
        TYPOS,
        (
            '{"type":"binary_file","path":"x.png"}\n\n'
            '{"type":"typo","path":"a.md","line_num":7,"typo":"teh","corrections":["the","ten"]}\r\n'
        ),
        [("a.md", 7, 0, "typo", "`teh` -> the, ten", "")],
    ),
    (
        SHELLCHECK,
        {"comments": [{"file": "a.sh", "line": 2, "column": 1, "code": 2034, "message": "unused"}]},
        [("a.sh", 2, 1, "SC2034", "unused", "")],
    ),
    (
        TWO_LISTS,
        {
            "errors": [{"filename": "a", "message": "m"}],
            "parse_errors": [{"file": "b"} | {"error": "e"}],
        },
        [("a", 0, 0, "", "m", ""), ("b", 0, 0, "", "e", "")],
    ),
    (TWO_LISTS, {"errors": []}, []),
    (
        {"format": "json", "results": "{}[]", "fields": {"path": "{}", "message": "$2"}},
        {"a.txt": ["one", "two"]},
        [("a.txt", 0, 0, "", "one", ""), ("a.txt", 0, 0, "", "two", "")],
    ),
    (
        {
            "format": "lines",
            "pattern": r"^(?P<path>[^:]+):(?P<line>\d+):(?:(?P<column>\d+):)? "
            r"(?P<severity>\w+): (?P<message>.*?)(?:  \[(?P<code>[\w-]+)\])?$",
        },
        "a.py:3: error: Bad thing  [attr-defined]\r\nFound 1 error\nb.py:1:2: note: Look\n",
        [
            ("a.py", 3, 0, "attr-defined", "Bad thing", "error"),
            ("b.py", 1, 2, "", "Look", "note"),
        ],
    ),
    (
        {
            "format": "lines",
            "pattern": r"^error: (?P<message>.+)\n +at (?P<path>.+):(?P<line>\d+)$",
        },
        "error: one\r\n  at a.toml:3\r\nerror: two\nerror: three\n at b:4\nerror: four",
        [("a.toml", 3, 0, "", "one", ""), ("b", 4, 0, "", "three", "")],
    ),
    (
        {"format": "lines", "pattern": "(?P<message>x)(?P<column>[0-9])", "column_base": 0},
        "x0\nno\nx4",
        [("", 0, 1, "", "x", ""), ("", 0, 5, "", "x", "")],
    ),
    (
        {"format": "checkstyle"},
        (
            '<?xml version="1.0" encoding="UTF-8"?>\n<checkstyle version="4.3">'
            '<file name="a &amp; b.sh"><error line="2" column="3" severity="Warning" '
            'message="Say &quot;x&quot;.&#10;So." source="ShellCheck.SC2086"/></file>'
            '<file name="c.sh"/></checkstyle>'
        ),
        [("a & b.sh", 2, 3, "ShellCheck.SC2086", 'Say "x".\nSo.', "warning")],
    ),
    (
        {"format": "junit"},
        (
            '<testsuites><testsuite name="/x/a.js"><testcase name="org.eslint.no-var">'
            '<failure message="No var."><![CDATA[line 4, col 2, Error - No var.]]></failure>'
            '</testcase><testcase name="fine"/></testsuite><testsuite name="s" file="t.py">'
            '<testcase name="test_a" file="u.py" line="9"><error type="ValueError">\nbad\nmore\n'
            "</error></testcase></testsuite></testsuites>"
        ),
        [
            ("/x/a.js", 4, 2, "", "org.eslint.no-var: No var.", "failure"),
            ("u.py", 9, 0, "ValueError", "test_a: bad", "error"),
        ],
    ),
    ({"format": "none"}, b"anything", []),
]


@pytest.mark.parametrize(("output", "data", "expected"), SAMPLES)
def test_findings_are_read_as_tools_write_them(output, data, expected):
    assert read(output, data) == [Said(*one) for one in expected]


def log(*results: dict, **run: object) -> dict:
    driver = {
        "name": "scan",
        "rules": [
            {"id": "R1", "defaultConfiguration": {"level": "error"}}
            | {"messageStrings": {"default": {"text": "'{0}' is {{bad}} {1}{7}"}}},
            {"id": "R2", "shortDescription": {"text": "Second"}},
        ],
    }
    extension = {"name": "queries", "rules": [{"id": "py/x"} | {"defaultConfiguration": {}}]}
    tool = {"driver": driver, "extensions": [extension]}
    return {"version": "2.1.0", "runs": [{"tool": tool, "results": list(results), **run}]}


def at(uri: str, line: int = 1, column: int = 1, **more: object) -> list[dict]:
    region = {"startLine": line, "startColumn": column}
    return [{"physicalLocation": {"artifactLocation": {"uri": uri, **more}, "region": region}}]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"ruleId": "R1", "message": {"text": "m"}}, ("", 0, 0, "R1", "m", "error")),
        ({"ruleIndex": 1, "message": {"text": "m"}}, ("", 0, 0, "R2", "m", "warning")),
        ({"ruleId": "R1/sub", "message": {"text": "m"}}, ("", 0, 0, "R1/sub", "m", "error")),
        ({"ruleId": "new", "message": {"markdown": "m"}}, ("", 0, 0, "new", "m", "warning")),
        (
            {"rule": {"index": 0, "toolComponent": {"index": 0}}, "message": {"text": "m"}},
            ("", 0, 0, "py/x", "m", "warning"),
        ),
        (
            {
                "rule": {"id": "R1"},
                "level": "note",
                "message": {"id": "default", "arguments": ["a"]},
            },
            ("", 0, 0, "R1", "'a' is {bad} {1}{7}", "note"),
        ),
        ({"kind": "open", "message": {"text": "m"}}, ("", 0, 0, "", "m", "note")),
        (
            {
                "message": {"text": "see [here](1), [there](2), not \\[x](1)"},
                "relatedLocations": [{"id": 1}],
            },
            ("", 0, 0, "", "see here, [there](2), not \\[x](1)", "warning"),
        ),
        (
            {"message": {"text": "m"}, "locations": at("a%20b/%C3%A9%FF.py", 3, 7)},
            ("a b/é\udcff.py", 3, 7, "", "m", "warning"),
        ),
        (
            {"message": {"text": "m"}, "locations": [{}, *at("file:///x/a.py", True, 2**40)]},
            ("/x/a.py", 0, 0, "", "m", "warning"),
        ),
        (
            {"message": {"text": "m"}, "locations": at("src/a.py", uriBaseId="SUB")},
            ("/home/me/p/sub/src/a.py", 1, 1, "", "m", "warning"),
        ),
        (
            {"message": {"text": "m"}, "locations": at("a.py", uriBaseId="LOOP")},
            ("a.py", 1, 1, "", "m", "warning"),
        ),
        (
            {"message": {"text": "m"}, "locations": at("", index=0)},
            ("/home/me/p/listed.py", 1, 1, "", "m", "warning"),
        ),
    ],
)
def test_results_of_sarif(result, expected):
    bases = {"ROOT": {"uri": "file:///home/me/p/"}, "SUB": {"uri": "sub/", "uriBaseId": "ROOT"}}
    bases["LOOP"] = {"uriBaseId": "LOOP"}
    artifacts = [{"location": {"uri": "listed.py", "uriBaseId": "ROOT"}}]
    document = log(result, originalUriBaseIds=bases, artifacts=artifacts)
    assert read({"format": "sarif"}, document) == [Said(*expected)]


@pytest.mark.parametrize(
    ("text", "arguments", "kept"),
    [
        ("{0}" * 50_000, ["y" * 150_000], "y" * 9_999 + "…"),
        ("{0}" * 50_000, [""], "{"),
        ("{9}" * 50_000, [""], "{9}" * 3_333 + "{"),
        ("x{0}", [["z"] * 100_000], "x" + str(["z"] * 100_000)[:9_998] + "…"),
        ("'{0}' and {1}{{", ["a", 1], "'a' and 1{"),
    ],
)
def test_messages_of_sarif_are_bounded(text, arguments, kept):
    (found,) = read({"format": "sarif"}, log({"message": {"text": text, "arguments": arguments}}))
    assert found.message == kept


def test_bases_of_sarif_do_not_multiply():
    bases = {"B": {"uri": "file:///" + "b/" * 500_000}}
    result = {"message": {"text": "m"}, "locations": at("a.py", uriBaseId="B")}
    started = time.monotonic()
    found = read({"format": "sarif"}, log(*[result] * 2_000, originalUriBaseIds=bases))
    assert time.monotonic() - started < 20
    assert sum(len(one.path) for one in found) < 2_000 * 20_001


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, ("", "")),
        ({"shortDescription": {"text": "S"}, "help": {"text": "One.\n\nTwo."}}, ("S", "One.")),
        ({"fullDescription": {"text": "## What\n\nIt\nis.\n\n## Why"}}, ("It is.", "It is.")),
        ({"shortDescription": {"text": "S" * 300}}, ("S" * 199 + "…", "")),
        ({"fullDescription": {"text": "F"}, "help": {"text": "H"}}, ("F", "F")),
        ({"fullDescription": {"text": "S"}, "shortDescription": {"text": "S"}}, ("S", "")),
    ],
)
def test_rules_of_sarif(rule, expected):
    driver = {"name": "scan", "rules": [{"id": "R", **rule}]}
    document = {"version": "2.1.0", "runs": [{"tool": {"driver": driver}}]}
    (run,) = read_log(json.dumps(document).encode())
    assert [(one.title, one.help) for one in run.rules] == [expected]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///C:/x/a.py", "C:/x/a.py"),
        ("file://host/x/a.py", "/x/a.py"),
        ("file:/x/a.py", "/x/a.py"),
        ("src\\a.py", "src/a.py"),
        ("a#b%23c.py", "a#b#c.py"),
        ("https://example.org/a%20b", "https://example.org/a%20b"),
    ],
)
def test_uris_of_sarif(uri, path):
    document = log({"message": {"text": "m"}, "locations": at(uri)})
    assert [one.path for one in read({"format": "sarif"}, document)] == [path]


@pytest.mark.parametrize(
    "more",
    [
        {"suppressions": [{"kind": "inSource"}]},
        {"suppressions": [{"kind": "external", "status": "accepted"}]},
        {"kind": "pass"},
        {"kind": "notApplicable"},
        {"baselineState": "absent"},
    ],
)
def test_results_of_sarif_that_are_no_findings(more):
    text = {"message": {"text": "m"}}
    document = log({**text, **more}, {**text, "suppressions": [{"status": "rejected"}]})
    document["runs"].append(log(text)["runs"][0])
    assert len(read({"format": "sarif"}, document)) == 2


@pytest.mark.parametrize(
    ("output", "data", "words"),
    [
        (ESLINT, b"", "nothing was printed"),
        (ESLINT, b"Oops: no configuration", "not JSON"),
        (ESLINT, b"[" * 100_000, "not JSON"),
        (ESLINT, b'[{"messages": [{"line": 1' + b"0" * 5000 + b"}]}]", "not JSON"),
        (ESLINT, b'{"a": 1}', "an object where a list"),
        (ESLINT, b'[{"messages": [{"line": 1}]}]', "no message"),
        (PYRIGHT, b"[]", "a list where an object"),
        (PYRIGHT, b"{}", "no 'generalDiagnostics'"),
        (TYPOS, b'{"type": "binary_file"}\nmypy: oh no', "line 2: not JSON"),
        ({"format": "checkstyle"}, b"", "nothing was printed"),
        ({"format": "checkstyle"}, b"<html/>", "<html>"),
        ({"format": "checkstyle"}, b"<checkstyle>", "not XML"),
        (
            {"format": "checkstyle"},
            b'<!DOCTYPE c [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><checkstyle>&b;</checkstyle>',
            "document type",
        ),
        (
            {"format": "junit"},
            b'<!DOCTYPE c SYSTEM "file:///etc/passwd"><testsuite/>',
            "document type",
        ),
        ({"format": "sarif"}, b"[]", "an object"),
        ({"format": "sarif"}, b'{"version": "2.0.0"}', "'2.0.0'"),
        ({"format": "sarif"}, b'{"version": "2.1.0"}', "no 'runs'"),
        ({"format": "sarif"}, b'{"version": "2.1.0", "runs": [3]}', "not an object"),
        (
            {"format": "sarif"},
            b'{"version": "2.1.0", "runs": [{"results": [{"message": {"text": 3}}]}]}',
            "'text' is not",
        ),
        ({"format": "sarif"}, b'{"version": "2.1.0", "runs": [{"results": [{}]}]}', "no message"),
        (
            {"format": "sarif"},
            b'{"version": "2.1.0", "runs": [{"externalPropertyFileReferences": {"results": [1]}}]}',
            "other files",
        ),
    ],
)
def test_what_is_not_of_the_format_is_said(output, data, words):
    with pytest.raises(UnreadableOutputError) as caught:
        read(output, data)
    assert words in str(caught.value)
    assert len(str(caught.value)) <= 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (True, 0),
        (-1, 0),
        (2**70, 0),
        (1.5, 0),
        ("12", 12),
        (3.0, 3),
        ("x", 0),
        ("1" * 9, 111111111),
        (None, 0),
        ([], 0),
        ({}, 0),
        (float("nan"), 0),
        ("²", 0),
    ],
)
def test_lines_that_are_none_are_0(line, expected):
    (found,) = read(ESLINT, [{"messages": [{"line": line, "message": "m"}]}])
    assert found.line == expected


def test_texts_are_cleaned():
    message = "\x1b[1;31mred\x1b[0m \ud800 a\x07b\r\nnext\tcell \x1b]8;;http://x\x1b\\ "
    (found,) = read(ESLINT, [{"filePath": "a\0\ud800b\udc80", "messages": [{"message": message}]}])
    assert found.message == "red \ufffd a\ufffdb\nnext\tcell"
    assert found.path == "a\ufffd\ufffdb\udc80"
    (found,) = read(ESLINT, [{"messages": [{"message": "m" * 30_000, "ruleId": "c" * 1000}]}])
    assert len(found.message) == 10_000
    assert len(found.code) == 200


def test_names_of_files_keep_their_bytes_and_messages_are_replaced():
    output = {"format": "lines", "pattern": "^(?P<path>[^:]+):(?P<message>.+)"}
    assert read(output, b"\xef\xbb\xbfa\xff.py:m\xff\n") == [
        Said("a\udcff.py", 0, 0, "", "m\ufffd", "")
    ]
    (found,) = read(
        {"format": "checkstyle"}, b'<checkstyle><error message="a\x1b\xff"/></checkstyle>'
    )
    assert found.message == "a\ufffd\ufffd"


def test_what_an_expression_sees_of_a_line_is_bounded():
    output = {"format": "lines", "pattern": "(?P<message>.*)x"}
    assert read(output, "y" * 20_000 + "x\n") == []


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({"format": "lines"}, "pattern: lines are read by one"),
        ({"format": "lines", "pattern": "("}, "no regular expression"),
        ({"format": "lines", "pattern": "a"}, "'message' is missing"),
        ({"format": "lines", "pattern": "(?P<message>a)(?P<file>b)"}, "group 'file' is none of"),
        ({"format": "lines", "pattern": "(?P<message>(a+)+)"}, "repeated itself"),
        ({"format": "lines", "pattern": r"(?P<message>(?:[)*]|\w*\)){2,})"}, "repeated itself"),
        ({"format": "lines", "pattern": r"(?P<message>(a+){50})"}, "repeated itself"),
        ({"format": "lines", "pattern": r"(?P<message>(?:a|a)*)x"}, "is repeated, which may"),
        ({"format": "lines", "pattern": r"(?P<message>(?:a?){26}a{26})"}, "is repeated, which may"),
        ({"format": "lines", "pattern": "(?P<message>x)" + "a?" * 26 + "a{26}"}, "too many '?'"),
        ({"format": "lines", "pattern": "(?P<message>x)" + "(?:a|a)" * 26 + "b"}, "too many '?'"),
        ({"format": "lines", "pattern": "(?P<message>.*.*.*.*.*x)"}, "share what they match"),
        ({"format": "lines", "pattern": "(?P<message>.*a.*a.*a.*a.*x)"}, "share what they match"),
        ({"format": "lines", "pattern": r"^(?P<message>\s*(?:\w*\d*)?\w*\d*x)"}, "share what"),
        ({"format": "json"}, "fields: 'message' is missing"),
        ({"format": "json", "fields": {"message": "a"}, "results": "a[b"}, "results: 'a[b'"),
        ({"format": "json", "fields": {"message": "a"}, "results": "a..b"}, "results: ''"),
        ({"format": "json", "fields": {"message": "a[]"}}, "fields: message: 'a[]'"),
        ({"format": "json", "fields": {"message": "a."}}, "fields: message: 'a.'"),
        ({"format": "json", "fields": {"message": "$1.a"}}, "deeper than results"),
        ({"format": "json", "fields": {"message": "x ${$3}"}, "results": "[]{}"}, "deeper"),
        ({"format": "json", "fields": {"message": "{}"}, "results": "[]"}, "'{}' is a key"),
        ({"format": "json", "fields": {"message": "a"}, "where": {"b[": "c"}}, "where: 'b['"),
        ({"format": "sarif", "from": "both"}, "from: both streams are for lines alone"),
        ({"format": "sarif", "pattern": "a"}, "pattern: is for lines alone"),
        ({"format": "lines", "pattern": "(?P<message>a)", "fields": {}}, "fields: is for json"),
    ],
)
def test_problems_of_descriptions(output, words):
    (problem,) = output_problems(output)
    assert words in problem


def test_expressions_without_repeated_repetitions_are_right():
    for pattern in (
        r"(?:\d{2}:){3}(?P<message>a+b*)c",
        r"(?P<message>[(+*]+\)+)",
        r"(?:[ab])+(?P<message>.*)",
        r"((?P<path>.*):(?P<line>\d+): \[(?P<severity>.*)\] (?P<message>.*) \((?P<code>.*)\))",
        r"^(?P<path>[^:]+):(?:(?P<line>\d+):)?(?:(?P<column>\d+):)? *(?P<message>.*)$",
    ):
        assert output_problems({"format": "lines", "pattern": pattern}) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("^(?P<message>.*.*.*x)", "a" * 10_000),
        ("(?P<message>.*.*x)", "a" * 10_000),
        (r"^(?P<path>.+?):(?P<line>\d+): (?P<message>.+) \[(?P<code>\w+)\]$", ":1: [a" * 1_700),
    ],
)
def test_expressions_that_are_right_take_no_ages(pattern, line):
    started = time.monotonic()
    assert read({"format": "lines", "pattern": pattern}, line) == []
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (r"\b(?P<message>.*)x", " ax"),
        ("(?!.*b)(?P<message>a)", "ba"),
        ("(?:.*d|b)(?P<message>c)", "abc"),
        ("(?:.*|b)(?P<message>c)", "abc"),
        ("(?P<message>.*c)", "abc"),
        ("(?P<message>.{2,3}c)", "aaabbc"),
        ("(?P<message>b)$", "ab"),
    ],
)
def test_an_expression_is_found_anywhere_in_a_line(pattern, line):
    assert [one.message for one in read({"format": "lines", "pattern": pattern}, line)] == [
        re.search(pattern, line)["message"].strip()
    ]


def mutated(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(out) + 1)
        end = min(len(out), start + rng.choice((0, 1, 1, 2, 8)))
        source = rng.randrange(len(data))
        pieces = [data[source : source + rng.randint(1, 20)], b"9" * 30, b"&#0;", b"<a>", b"\xff"]
        pieces += [b"", b"null", b"[]", b"{}", b"-1", b"true", b'"', b"1e999", b"NaN", b'"\\ud800"']
        out[start:end] = rng.choice(pieces)
    return bytes(out)


SARIF = log(
    {"ruleIndex": 0, "message": {"id": "default", "arguments": ["a"]}, "locations": at("a.py")},
    {"rule": {"id": "R1", "index": 1}, "suppressions": [], "message": {"text": "[a](1)"}}
    | {"relatedLocations": [{"id": 1}], "kind": "fail", "level": "note"},
    artifacts=[{"location": {"uri": "x"}}],
    originalUriBaseIds={"A": {"uri": "file:///x/"}},
)


def is_read(output: dict, data: bytes) -> bool:
    """Return true if findings are read from an output, all of them clean."""
    try:
        for found in read_findings(output, data):
            assert type(found.line) is type(found.column) is int
            assert min(found.line, found.column) >= 0
            found.path.encode("utf-8", "surrogateescape")
            (found.code + found.message + found.severity).encode()
    except UnreadableOutputError:
        return False
    return True


@pytest.mark.parametrize(
    ("output", "sample"), [*(one[:2] for one in SAMPLES), ({"format": "sarif"}, SARIF)]
)
def test_mutated_outputs_are_read_or_refused(output, sample):
    rng = random.Random(16)
    text = json.dumps(sample) if isinstance(sample, dict | list) else sample
    data = text.encode() if isinstance(text, str) else text
    outcomes = [is_read(output, mutated(data, rng)) for _ in range(400)]
    assert any(outcomes)
    assert all(outcomes) == (output["format"] in ("lines", "none"))
