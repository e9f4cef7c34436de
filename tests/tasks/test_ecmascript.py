"""Known answers of the ECMAScript front end on tricky source."""

from __future__ import annotations

import itertools
from typing import Any

import msgpack
import pytest

from codebatch.tasks.languages import parser_for
from codebatch.tasks.languages.base import CodeMetrics, Edge, FunctionMetrics
from codebatch.tasks.source import SourceFile

LANGUAGES = ("javascript", "jsx", "typescript", "tsx")


def parsed(content: str | bytes, language: str = "typescript") -> Any:
    data = content.encode() if isinstance(content, str) else content
    return SourceFile(data, language).parsed


def metrics(content: str, language: str = "javascript") -> CodeMetrics:
    found: CodeMetrics = parsed(content, language).metrics()
    return found


def only_function(content: str, language: str = "javascript") -> FunctionMetrics:
    (function,) = metrics(content, language).functions
    return function


def symbols(content: str, language: str = "typescript") -> list[tuple[str, str, str]]:
    return [(s.name, s.symbol_type, s.scope) for s in parsed(content, language).symbols()]


# Trees


@pytest.mark.parametrize(
    "content",
    [
        b"const \xc3\xa9 = 1;\nexport { \xc3\xa9 };\n",
        "const é = 1;\nexport { é };\n".encode("utf-16"),
        "\ufeffconst é = 1;\rexport { é };".encode(),
    ],
)
def test_symbols_of_an_encoded_text(content: bytes) -> None:
    found = parsed(content, "javascript").symbols()
    assert [(s.name, s.line, s.column) for s in found] == [("é", 1, 7), ("é", 2, 10)]


@pytest.mark.parametrize(
    "content",
    [
        "import a from 'a';\nfunction f() { let b; }\n) = (;\n",
        "import a from 'a';\nfunction f() { let b = '\u2028'; }\n",
        "import a from 'a'; /* \0 */\nfunction f() { let b = '\udcff'; }\n".encode(
            "utf-8", "surrogateescape"
        ),
    ],
)
def test_symbols_of_what_the_grammar_may_reject(content: str | bytes) -> None:
    assert [s.name for s in parsed(content, "javascript").symbols()] == ["a", "f", "b"]


@pytest.mark.parametrize(
    ("content", "names", "partial"),
    [
        ("import {do as x} from 'y'; export {x as null}; f(1 < 2, 3 > (4));", "x null", False),
        ("import e, {\n  new as x\n} from 'y'; export {if} from 'z';", "e x if", False),
        ("export * as with from 'x'; export {x as do, y as 'a b'};", "with do 'a b'", False),
        ("function f() { return `import {do as x}`", "f", True),
        ("export {x as do}; )", "do", True),
    ],
)
def test_words_of_the_language_are_names_in_lists(content: str, names: str, partial: bool) -> None:
    file = parsed(content, "javascript")
    assert " ".join(symbol.name for symbol in file.symbols()) == names.replace("'", "")
    assert file.encode().partial is partial
    assert not any("__" in text for text in msgpack.unpackb(file.encode().data)["strings"])


@pytest.mark.parametrize(
    ("content", "literals"),
    [
        ("const a = <p>import {null} and {null}</p>;", ["null", "null"]),
        ("const a = <p>export {this}\n{true} import {false};</p>;", ["this", "true", "false"]),
        ("const a = <p>import {null} from 'é'; export {true}</p>;", ["null", "true"]),
        ("const a = <p>export {\n  null\n}\n export * as {true} from b</p>;", ["null", "true"]),
        ("const a = <p>é import {new this} from it</p>;", ["this"]),
        ("const a = `import {do} ${null} export {this} from`;", ["null"]),
    ],
)
def test_words_of_the_language_are_no_names_elsewhere(content: str, literals: list[str]) -> None:
    listing = "import {do as x} from 'y'; export * as if from 'z';\n"
    tree, _ = decode(listing + content, "jsx")
    assert not parsed(listing + content, "jsx").encode().partial
    types = [tree["type_names"][kind] for kind in tree["types"]]
    assert [kind for kind in types if kind in {"null", "this", "true", "false"}] == literals
    assert [kind for kind in types if kind == "ERROR"] == []


def test_what_is_no_name_in_text_of_an_element_is_rejected() -> None:
    content = "import {do as x} from 'y';\nconst a = <p>import {do} from</p>;"
    assert parsed(content, "jsx").encode().partial


# Encoding


def decode(content: str, language: str = "javascript") -> tuple[dict[str, Any], int]:
    encoded = parsed(content, language).encode()
    assert encoded.format == "tree-sitter-flat/2+msgpack"
    return msgpack.unpackb(encoded.data), encoded.nodes


def test_encoded_columns_rebuild_the_tree() -> None:
    content = "// é\r\nconst f = async (a, b) => a + 'ü';\r\n"
    tree, nodes = decode(content)
    columns = ("types", "fields", "parents", "starts", "ends", "texts")
    assert {len(tree[name]) for name in columns} == {nodes}
    assert list(tree) == sorted(tree)
    types = [tree["type_names"][t] for t in tree["types"]]
    texts = [tree["strings"][t] for t in tree["texts"]]
    starts = list(itertools.accumulate(tree["starts"]))
    assert tree["lines"] == [0, 6, 36]
    plus = types.index('"+"')
    parent = plus - tree["parents"][plus]
    assert types[parent] == "binary_expression"
    assert tree["field_names"][tree["fields"][plus]] == "operator"
    assert content[starts[parent] : starts[parent] + tree["ends"][parent]] == "a + 'ü'"
    assert [t for t in texts if t] == ["f", "a", "b", "a", "'ü'"]
    assert '"async"' in types


def test_encoding_is_deterministic() -> None:
    assert decode("a(b)") == decode("a(b)")


# Metrics


@pytest.mark.parametrize(
    ("body", "cyclomatic", "cognitive", "nesting"),
    [
        ("", 1, 0, 0),
        ("if (a) {}", 2, 1, 1),
        ("if (a) {} else {}", 2, 2, 1),
        ("if (a) {} else if (b) {} else {}", 3, 3, 1),
        ("if (a) { if (b) {} }", 3, 3, 2),
        ("if (a) {} else { if (b) {} }", 3, 4, 2),
        ("for (;;) {} for (x in y) ; for (x of y) ; while (a) ; do ; while (b)", 6, 5, 1),
        ("switch (a) { case 1: case 2: break; default: }", 3, 1, 1),
        ("switch (a) { case 1: if (b) {} }", 3, 3, 2),
        ("try { a() } catch (e) { if (b) {} } finally {}", 3, 3, 2),
        ("return a ? b : c ? d : e", 3, 3, 0),
        ("return a && b && c", 3, 1, 0),
        ("return a && b || c", 3, 2, 0),
        ("return a || b && c || d", 4, 3, 0),
        ("return a && (b && c)", 3, 1, 0),
        ("return a && !(b && c)", 3, 2, 0),
        ("return a ?? b", 2, 1, 0),
        ("a ||= 1; b &&= 2; c ??= 3; d += 4", 4, 0, 0),
        ("return a?.b?.c", 1, 0, 0),
        ("l: for (;;) { continue l; }", 2, 2, 1),
        ("for (;;) { break; }", 2, 1, 1),
        ("if (a ? b : c) {}", 3, 2, 1),
        ("while (a) { for (;;) { if (b) {} } }", 4, 6, 3),
        ("let {x = 1} = a; let [y = 2] = b;", 1, 0, 0),
    ],
)
def test_complexity(body: str, cyclomatic: int, cognitive: int, nesting: int) -> None:
    function = only_function(f"function f(p = 1) {{ {body} }}")
    assert function == ("f", 1, cyclomatic, cognitive, nesting)


def test_a_nested_function_is_counted_once_and_starts_at_nesting_0() -> None:
    outer, inner = metrics("function f() { if (a) { g(() => { if (b) {} }) } }").functions
    assert outer == ("f", 1, 2, 1, 1)
    assert inner == ("f.<anonymous>", 1, 2, 1, 1)


def test_code_outside_functions_is_the_module() -> None:
    found = metrics("if (a) {}\nclass A { x = b ? 1 : 2; m() { if (c) {} } }")
    assert found.module == ("module", 1, 3, 2, 1)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("const f = () => {}", ["f"]),
        ("const f = (function () {})", ["f"]),
        (
            "x = { a() {}, b: () => {}, get c() { return 1 }, 'd e': function () {}, [f]: g => g }",
            ["a", "b", "c", "d e", "[f]"],
        ),
        (
            "class A { constructor() {} static s() {} #p = () => {}; static { x() } }",
            ["A.constructor", "A.s", "A.#p", "A.<static>"],
        ),
        ("export default () => {}", ["default"]),
        ("a.b.c = function () {}", ["a.b.c"]),
        ("g(function () {})", ["<anonymous>"]),
        ("g(function named() {})", ["named"]),
        ("function f(cb = () => {}) {}", ["f", "f.cb"]),
        (
            "function outer() { function inner() {} const deep = () => {} }",
            ["outer", "outer.inner", "outer.deep"],
        ),
        ("const A = class { m() {} }", ["A.m"]),
        ("async function* g() {}", ["g"]),
    ],
)
def test_function_names(content: str, names: list[str]) -> None:
    assert [f.name for f in metrics(content).functions] == names


def test_function_names_in_namespaces() -> None:
    found = metrics("namespace N.M { function f() {} }", "typescript")
    assert [f.name for f in found.functions] == ["N.M.f"]


def test_counts() -> None:
    found = metrics(
        "#!/usr/bin/env node\n"
        "import a, { b } from 'x';  // both\n"
        "\n"
        "/* one\n"
        "\n"
        "three */\n"
        "/* lead */ export * from 'y'; /* trail\n"
        "*/\n"
        "const c = require('z'), t = `\n"
        "\n"
        "`;\n"
        "class A {}\n"
        "x = class {};\n"
    )
    assert (found.classes, found.imports) == (2, 2)
    assert (found.code_lines, found.comment_lines) == (7, 5)


def test_lines_end_with_a_lone_return_too() -> None:
    found = metrics("a()\r// b\rc()\r\n\r\nfunction f() {}")
    assert (found.code_lines, found.comment_lines) == (3, 1)
    assert found.functions[0].line == 5


# Symbols


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "var {a, b: [c = 1], ...d} = x;",
            [("a", "variable", "module"), ("c", "variable", "module"), ("d", "variable", "module")],
        ),
        (
            "function f({a}, b = 1, ...c) { let d; }",
            [
                ("f", "function", "module"),
                ("a", "parameter", "f"),
                ("b", "parameter", "f"),
                ("c", "parameter", "f"),
                ("d", "variable", "f"),
            ],
        ),
        ("const f = x => x;", [("f", "function", "module"), ("x", "parameter", "f")]),
        (
            "class A { #p = 1; m() {} h = () => {} }",
            [
                ("A", "class", "module"),
                ("#p", "variable", "A"),
                ("m", "method", "A"),
                ("h", "method", "A"),
            ],
        ),
        (
            "import a, { b as c, type d } from 'x'; import * as e from 'y';",
            [
                ("a", "import", "module"),
                ("c", "import", "module"),
                ("d", "import", "module"),
                ("e", "import", "module"),
            ],
        ),
        ("export const x = 1;", [("x", "variable", "module"), ("x", "export", "module")]),
        (
            "let a; export { a as b, a as default }; export * as ns from 'y'; export * from 'z';",
            [
                ("a", "variable", "module"),
                ("b", "export", "module"),
                ("default", "export", "module"),
                ("ns", "export", "module"),
            ],
        ),
        ("export default class A {}", [("default", "export", "module"), ("A", "class", "module")]),
        ("try {} catch ({ message }) {}", [("message", "variable", "module")]),
        (
            "interface I { m(a: T): void } type T = string; enum E { A } namespace N { let z; }",
            [
                ("I", "interface", "module"),
                ("T", "type", "module"),
                ("E", "enum", "module"),
                ("N", "namespace", "module"),
                ("z", "variable", "N"),
            ],
        ),
        (
            "declare function f(a: string): void; interface J { m(b: T): void }",
            [
                ("f", "function", "module"),
                ("a", "parameter", "f"),
                ("J", "interface", "module"),
            ],
        ),
        (
            "abstract class A { abstract m(): void; constructor(private x: string) { } }",
            [
                ("A", "class", "module"),
                ("m", "method", "A"),
                ("constructor", "method", "A"),
                ("x", "parameter", "A.constructor"),
            ],
        ),
        (
            "import a = require('b'); export = a;",
            [("a", "import", "module"), ("export=", "export", "module")],
        ),
    ],
)
def test_symbols(content: str, expected: list[tuple[str, str, str]]) -> None:
    assert symbols(content) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("app.use = function use() {};", [("use", "method", "app")]),
        ("K.prototype.late = () => 1;", [("late", "method", "K.prototype")]),
        ("a['b'].c = function () {};", [("c", "method", "a.b")]),
        ("a.b!.c = (function () {}) as F;", [("c", "method", "a.b")]),
        ("f().c = () => 1; a[k].d = () => 2;", [("c", "method", "…"), ("d", "method", "…")]),
        ("a ??= () => 1; a.b ||= () => 2;", [("a", "function", "module"), ("b", "method", "a")]),
        ("exports.x = () => 1;", [("x", "function", "exports")]),
        ("module.exports.x = function () {};", [("x", "function", "module.exports")]),
        ("module.exports = function () {};", [("module.exports", "function", "module")]),
        ("module.exports = function main() {};", [("main", "function", "module")]),
        ("export default (function main() {});", [("default", "export"), ("main", "function")]),
        (
            "const o = { run: function () {}, go: () => 2, 'a b': x => x, [k]: () => 3, m() {} };",
            [
                ("o", "variable", "module"),
                ("run", "method", "module"),
                ("go", "method", "module"),
                ("a b", "method", "module"),
                ("x", "parameter", "a b"),
                ("[k]", "method", "module"),
                ("m", "method", "module"),
            ],
        ),
        (
            "Object.defineProperty(o, 'p', { get: function getter() {} });",
            [("get", "method", "module"), ("getter", "function", "get")],
        ),
        ("define('p', function p() {});", [("p", "function", "module")]),
        ("let f; f = () => f();", [("f", "variable", "module"), ("f", "function", "module")]),
        (
            "const f = (function g(x) {});",
            [("f", "function", "module"), ("g", "function", "f"), ("x", "parameter", "f")],
        ),
        (
            "function f() { this.handle = function (x) {}; }",
            [
                ("f", "function", "module"),
                ("handle", "method", "f.this"),
                ("x", "parameter", "f.this.handle"),
            ],
        ),
        (
            "class A { static run = () => {}; static B = class {}; [k] = function () {}; n = 1 }",
            [
                ("A", "class", "module"),
                ("run", "method", "A"),
                ("B", "class", "A"),
                ("[k]", "method", "A"),
                ("n", "variable", "A"),
            ],
        ),
        ("ns.A = class { m() {} };", [("A", "class", "ns"), ("m", "method", "ns.A")]),
        ("function f(cb = () => 1) {}", [("f", "function", "module"), ("cb", "parameter", "f")]),
        ("const { a = () => 1 } = x;", [("a", "variable", "module")]),
        ("g(() => 1, function () {}); a[0] = () => 2;", []),
        (
            "namespace a.b.c { export function f() {} }",
            [
                ("a.b.c", "namespace", "module"),
                ("f", "function", "a.b.c"),
                ("f", "export", "a.b.c"),
            ],
        ),
        ("export namespace N . M {}", [("N.M", "namespace", "module"), ("N", "export", "module")]),
        (
            "declare module 'm' { function f(): void }",
            [("m", "namespace", "module"), ("f", "function", "m")],
        ),
    ],
)
def test_functions_and_namespaces_are_symbols(content: str, expected: list[Any]) -> None:
    assert symbols(content) == [(*one, "module")[:3] for one in expected]


def test_an_accessor_of_two_lines_is_one_method() -> None:
    content = "export class A {\n  static get\n  foo() { return 1; }\n}"
    found = [one for one in symbols(content, "javascript") if one[1] != "export"]
    assert found == [("A", "class", "module"), ("foo", "method", "A")]


def test_metrics_and_symbols_name_functions_alike() -> None:
    content = """
        const app = exports = module.exports = {};
        app.use = function use(fn) { return fn; };
        classic.prototype.late = function () { const inner = () => 1; };
        function classic() { this.x.y = () => 1; }
        const o = { run: function () {}, go: () => 2, jump() {}, get g() { return 1; } };
        class A { #p = () => 1; static s = function t() {}; constructor() {} [k]() {} }
        define(function named() { var f = function other() {}; });
        module.exports = class { m() {} };
        a.b.c = async function* () {};
    """
    found = parsed(content, "javascript")
    of_symbols = {
        s.name if s.scope == "module" else f"{s.scope}.{s.name}"
        for s in found.symbols()
        if s.symbol_type in ("function", "method")
    }
    of_metrics = {function.name for function in found.metrics().functions}
    assert of_metrics <= of_symbols
    assert of_symbols - of_metrics == {"A.s.t", "named.f.other"}  # known inside themselves only


def test_a_function_has_the_lines_of_its_body_and_the_place_of_its_name() -> None:
    content = "app.use = (\n  function (fn) {\n  }\n);\nx = { y:\n  () => {\n} };"
    found = [(s.name, s.line, s.column, s.end_line) for s in parsed(content).symbols()]
    assert found == [("use", 1, 5, 3), ("fn", 2, 13, 2), ("y", 5, 7, 7)]


def test_symbol_places_count_code_points() -> None:
    found = parsed("/* 😀é */ let a = 1,\r\n  变 = '😀', b = [\r\n];", "javascript").symbols()
    assert [(s.name, s.line, s.column, s.end_line) for s in found] == [
        ("a", 1, 14, 1),
        ("变", 2, 3, 2),
        ("b", 2, 12, 3),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("import 'x';", [("imports", "x", None, None)]),
        (
            "import a, { b, c as d } from 'x';",
            [
                ("imports", "x", "default", "a"),
                ("imports", "x", "b", None),
                ("imports", "x", "c", "d"),
            ],
        ),
        ("import * as ns from 'x';", [("imports", "x", "*", "ns")]),
        (
            "const a = require('x'); require(y); import('z');",
            [("imports", "x", None, "a"), ("imports", "z", None, None)],
        ),
        ("const m = await import('x');", [("imports", "x", None, "m")]),
        ("import e = require('x');", [("imports", "x", None, "e")]),
        ("let a: import('x').B;", [("imports", "x", None, None)]),
        (
            "export { a, b as c } from 'x'; export * from 'y'; export * as z from 'z';",
            [
                ("exports", "x", "a", None),
                ("exports", "x", "b", "c"),
                ("exports", "y", "*", None),
                ("exports", "z", "*", "z"),
            ],
        ),
        (
            "class A extends B.C<T> implements D, E.F<G> {}",
            [
                ("inherits", "B.C", None, None),
                ("inherits", "D", None, None),
                ("inherits", "E.F", None, None),
            ],
        ),
        ("class A extends mixin(B) {}", [("inherits", "mixin(B)", None, None)]),
        (
            "interface A extends B<T>, C {}",
            [("inherits", "B", None, None), ("inherits", "C", None, None)],
        ),
    ],
)
def test_edges(content: str, expected: list[tuple[str, str, str | None, str | None]]) -> None:
    edges: list[Edge] = list(parsed(content).edges())
    assert [(e.edge_type, e.target, e.name, e.alias) for e in edges] == expected


def test_javascript_heritage() -> None:
    (edge,) = parsed("class A extends B.C {}", "javascript").edges()
    assert edge == ("inherits", "B.C", 1, None, None)


# Depth and width

DEEP = {
    "member": "a" + ".b" * 20_000,
    "sum": "x = " + " + ".join(["1"] * 20_000),
    "else if": "if (a) {}" + " else if (b) {}" * 5_000,
    "logical": "x = " + " && ".join("abc"[i % 3] for i in range(20_000)),
    "calls": "f(" * 5_000 + ")" * 5_000,
    "arrows": "x = " + "a => " * 5_000 + "a",
    "blocks": "{ let a = b; " * 5_000 + "}" * 5_000,
    "ternary": "x = " + "a ? b : " * 20_000 + "c",
    "unclosed": "f(" * 5_000,
}


@pytest.mark.parametrize("kind", DEEP)
def test_depth_has_no_limit(kind: str) -> None:
    found = parsed(DEEP[kind], "javascript")
    assert found.encode().nodes > 0
    assert found.metrics().module.cyclomatic >= 1
    assert all(len(s.scope) < 300 for s in found.symbols())
    assert list(found.edges()) == []


def test_a_long_ladder_stays_flat() -> None:
    found = metrics(DEEP["else if"])
    assert found.module == ("module", 1, 5_002, 5_001, 1)


def test_the_front_end_knows_its_languages() -> None:
    assert all(parser_for(language) is parser_for("tsx") is not None for language in LANGUAGES)
