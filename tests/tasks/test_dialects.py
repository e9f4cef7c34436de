"""Files that look like a language and are written in another: skips with the reason, no errors."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from codebatch.model.record_lines import encode_lines
from codebatch.tasks import analyze, lint, parse, symbols
from codebatch.tasks.base import Task
from codebatch.tasks.languages import detect
from codebatch.tasks.source import SourceFile

FACETS = {facet: of("a.py") for facet, of in detect.FACETS.items()}


def records(
    task: Task, content: str | bytes, language: str, **upstream: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    data = content.encode() if isinstance(content, str) else content
    source = SourceFile(data, language, FACETS)
    config = task.resolve_config({})
    (prepared,) = task.prepare_now([source], config)
    lines = {need: encode_lines(found) for need, found in upstream.items()}
    return task.run(task.file(source, lines, prepared), config)


def said(content: str | bytes, language: str) -> str:
    """The reason to skip, or the code of the first finding, or ``ast``."""
    first = records(parse.parse, content, language)[-1]
    return first.get("reason") or first.get("code") or first["kind"]


@pytest.mark.parametrize("language", ["javascript", "jsx"])
@pytest.mark.parametrize(
    "content",
    [
        "// @flow\nimport type { A } from './a';\nexport type B = {| x: number |};\n",
        "/* @flow */ const f = (x: ?string): string => x || '';",
        "/**\n * Copyright\n *\n * @flow strict-local\n * @format\n */\n\n'use strict';\n(x: any);",
        "#!/usr/bin/env node\n'use strict';\n// a\n/* b */ // @flow strict\nx = 1;",
        "\ufeff// @flow\nx = 1;",
    ],
)
def test_flow(content: str, language: str) -> None:
    assert said(content, language) == "Flow types"


@pytest.mark.parametrize(
    "content",
    [
        "// @noflow\nx = 1;",
        "// me@flow.org, a@flow\nx = 1;",
        "// @flowers @flow-typed\nx = 1;",
        "x = 1; // @flow",
        "x = '@flow';",
        "/* a */ x = 1; /* @flow */",
    ],
)
def test_what_only_mentions_flow(content: str) -> None:
    assert said(content, "javascript") == "ast"


def test_typescript_has_no_flow() -> None:
    assert said("// @flow\nlet x: number;", "typescript") == "ast"


@pytest.mark.parametrize(
    ("content", "language"),
    [
        ("import a from '<%= path %>';\n<%= body %>\n<% if (x) { %>\nf();\n<% } %>", "javascript"),
        ("const a = {{ cookiecutter.value | tojson }};\n", "javascript"),
        ("{% if a %}\nimport b from 'b';\n{% endif %}\nb();\n", "typescript"),
        ("export class <%= name %>Component { <%- members %> }", "typescript"),
        ("const a = <p>{% trans 'a' %}</p>;\n{# note #}{{ b|c:d }}", "jsx"),
        ("from {{ cookiecutter.package }} import a\n\nclass {{ x }}Config:\n    pass\n", "python"),
        ("import a\n{%- if b %}\nimport c\n{%- endif %}\n\ndef f():\n    return a\n", "python"),
        ("{#\n note\n#}\nx = {{ a }}.{{ b }}\n", "python"),
    ],
)
def test_templates(content: str, language: str) -> None:
    assert said(content, language) == "template"


@pytest.mark.parametrize(
    ("content", "language", "expected"),
    [
        ("const a = <p style={{ b: 1 }}>{{ c }}</p>;", "jsx", "ast"),
        ("const a = <p style={{ b: 1 }} c=>d</p>;", "jsx", "E0001"),
        ("const a = '{{ b }}'; c = = 1;", "javascript", "E0001"),
        ("const a = `<%= b %>`;", "javascript", "ast"),
        ("x = {{ 1: 2 }\n", "python", "E0001"),
        ("x = '{{ a }}'\ndef (\n", "python", "E0001"),
        ("x = '{{ a }}'\n", "python", "ast"),
        ("{{", "javascript", "E0001"),
        ("a = {{ b }} %} {% {{", "python", "E0001"),
    ],
)
def test_what_only_has_tags(content: str, language: str, expected: str) -> None:
    assert said(content, language) == expected


@pytest.mark.parametrize(
    "content",
    [
        'import os\nprint "x"\n',
        "if x: print 'a', ; print\nelse: print not x\n",
        "print >>f\nprint >>sys.stderr, 'a' % b,\nprint 'c'\n",
        "try:\n    f()\nexcept ValueError, e:\n    raise\n",
        "try: f()\nexcept (A, B), error: pass\n",
        "x = `y` + `f(z)`\n",
        "x = 0777, 00, 10L, 0xFFL, 1.5, 1e5\n",
        "x = ur'a' + UR'''b'''\n",
        "exec 'x' in d, e\n",
        "raise E, 'm'\n",
        "raise E, 'm', tb; x()\n",
        "if a <> b: pass\n",
        "def f(a, (b, (c, d)), e=(1, 2)): return lambda (g, h), i: `g`\n",
        "def f(a=1, (b, c)=(2, 3), *d): return a <> 0.001 + .07 + 1E-05\n",
        "try: f()\nexcept os.error, (code, words): print code\n",
        "print '\\u12 \\N \\\\u', r'\\u', u'\\u1234'\n",
        "if a:\n        if b:\n\t\tprint 'tab'\n        print 'space'\n",
        "print 'a' \\\n    'b'  # c\nprint ('d'\n  'e') % f\n",
        "\ufeff# -*- coding: utf-8 -*-\r\nprint u'\u00e9'\r\n",
    ],
)
def test_python_2(content: str) -> None:
    assert said(content, "python") == "Python 2"


@pytest.mark.parametrize(
    "content",
    [
        "def (\n",
        "x = f'{a}'\nprint 'x'\n",
        "def f(a: int):\n    print 'x'\n",
        "async def f():\n    print 'x'\n",
        "class A(metaclass=B):\n    x = 0777\n",
        "raise A from b\nraise E, 'm'\n",
        "x = = 1\nprint 'x'\n",
        "print 'x\n",
        "'''\nprint 'x'\n",
        "if a:\n        b\n\tc\n",
        "print 'x' 'y\\'\n",
        "`",
        "f(0777\n",
        "x = '\\u12'\n",
        b"print 'x'\0\n",
        b"x = 'caf\xe9'\n",
        "print " + "(" * 300 + "\n",
    ],
)
def test_mistakes_in_python_3_stay_mistakes(content: str | bytes) -> None:
    assert said(content, "python") == "E0001"


@pytest.mark.parametrize(
    ("minor", "content"),
    [
        (11, "try: f()\nexcept* ValueError: pass\n"),
        (11, "x = a[*b]\n"),
        (12, "def f[T](x: T) -> T: ...\ntype X = int\nclass A[*Ts]: ...\n"),
        (12, 'x = f"{a["b"]}{\'\\n\'.join(c)}"\n'),
        (13, "class A[T = int]: ...\n"),
        (14, "x = t'{y}'\n"),
        (14, "try: f()\nexcept A, B: pass\n"),
        (14, "try: f()\nexcept A, b, c: pass\n"),
    ],
)
def test_newer_python(minor: int, content: str) -> None:
    needed = f"needs Python 3.{minor}"
    assert said(content, "python") == (needed if sys.version_info < (3, minor) else "ast")
    assert said(content + "def (\n", "python") == "E0001"


@pytest.mark.parametrize(
    ("content", "language"),
    [
        ("// @flow\nimport a from 'a';\nvar b;\n", "javascript"),
        ("import <%= a %> from 'a';\n", "javascript"),
        ("import os\nprint 'x'\n", "python"),
        ("import {{ a }}\n", "python"),
    ],
)
def test_all_tasks_say_the_same(content: str, language: str) -> None:
    of_parse = records(parse.parse, content, language)
    assert [record["kind"] for record in of_parse] == ["skip"]
    assert records(symbols.symbols, content, language, parse=of_parse) == of_parse
    *counts, last = records(analyze.analyze, content, language, parse=of_parse)
    assert [count["metric"] for count in counts] == ["bytes", "language", "lines", "loc"]
    assert last == of_parse[0]
    # Texts are looked at, names are not.
    found = records(lint.lint, content + "x = 1  \n", language, parse=of_parse)
    assert [finding["code"] for finding in found] == ["L001"]


@pytest.mark.parametrize("language", ["vue", "svelte"])
def test_what_has_no_parser_has_texts(language: str) -> None:
    content = "<script>\nimport a from 'a';  \n</script>\n"
    assert said(content, language) == "no parser"
    assert [finding["code"] for finding in records(lint.lint, content, language)] == ["L001"]
    metrics = [metric["metric"] for metric in records(analyze.analyze, content, language)]
    assert metrics == ["bytes", "language", "lines", "loc"]


@pytest.mark.sample(8)
@pytest.mark.parametrize(
    "content",
    [
        *("$", "{{", "{{ }} ", "{% ", "`", ";", "lambda ", "def f(", "lambda (", "'''\\'", "else:"),
        *("print 'x';", "except a, b:", "print 'x'\n", "raise a, b;", "0777L ", "\\\n"),
    ],
)
def test_what_repeats_takes_time_in_proportion(content: str) -> None:
    """Quadratic work on these would take minutes."""
    assert said(content * (40_000 // len(content)), "python") in {"E0001", "Python 2", "template"}
