"""Known answers of the ECMAScript front end on tricky source."""

from __future__ import annotations

import itertools
from typing import Any

import msgpack
import pytest

from codebatch.tasks.languages import frontend_for
from codebatch.tasks.languages.base import CodeMetrics, Edge, FunctionMetrics
from codebatch.tasks.source import SourceFile

LANGUAGES = ("javascript", "jsx", "typescript", "tsx")


def parsed(content: str | bytes, language: str = "typescript") -> Any:
    data = content.encode() if isinstance(content, str) else content
    return SourceFile(data, language).parsed


def findings(content: str, language: str = "typescript") -> list[tuple[str, str]]:
    found = parsed(content, language)
    assert found.faults == ()
    return [(f.code, f.message.split("`")[1]) for f in found.name_findings()]


def unused(content: str, language: str = "typescript") -> list[str]:
    return [name for code, name in findings(content, language) if code != "L103"]


def shadowed(content: str, language: str = "typescript") -> list[str]:
    return [name for code, name in findings(content, language) if code == "L103"]


def metrics(content: str, language: str = "javascript") -> CodeMetrics:
    found: CodeMetrics = parsed(content, language).metrics()
    return found


def only_function(content: str, language: str = "javascript") -> FunctionMetrics:
    (function,) = metrics(content, language).functions
    return function


def symbols(content: str, language: str = "typescript") -> list[tuple[str, str, str]]:
    return [(s.name, s.symbol_type, s.scope) for s in parsed(content, language).symbols()]


# Syntax


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "#!/usr/bin/env node\nx = 1\n",
        "\ufeffx = 1;",
        "x = 'a\u2028b';",
        "x = 1 // c\u2028y = 2",
        "var é = 'ü', 变量 = 1;",
        "x = 1\ry = 2\r// c\rz()",
        "/* \0 */ x = 1;",
        "let sub\n[sub, b] = c;",
        "export * from 'x' with { type: 'json' };",
        "import a from 'x' with { type: 'json' };",
        "x = a\n++b",
        "x = { async, get, set, static: 1, await: 2 };",
        "class A { static { this.x = 1 } #a; m() { return #a in this } }",
        "for await (const x of y) ;",
        "x ??= a?.b?.[c]?.(d) ?? 1_000n ** 2n;",
    ],
)
def test_valid_everywhere(content: str, language: str) -> None:
    assert parsed(content, language).faults == ()


@pytest.mark.parametrize(
    "content",
    [
        'type A = import("x").B<C>;',
        "let a: typeof import('x');",
        'export type * from "a"; export type * as q from "b";',
        "type T<in out A> = A; interface I<out A> {} class C<in A> {}",
        "class A { accessor x = 1; static accessor y }",
        "abstract class A { abstract get x(): string; abstract accessor y: number }",
        'declare module "x" { global { interface A {} } }',
        "export default function (a: string): void;",
        "interface A { abstract: boolean; abstract?: string } a.abstract = abstract;",
        "type A = (number) => void;",
        "let f: ({ a: b }: C) => D;",
        "const X = styled( T )< { a?: B; c: D } >`x${ b => `y${b}` } }`;",
        "function f<const T>(this: Foo, x?: T): asserts x is string {}",
        "let x = <const>['a'] satisfies readonly string[];",
    ],
)
def test_valid_typescript(content: str) -> None:
    assert parsed(content).faults == ()


@pytest.mark.parametrize("language", ["javascript", "jsx", "tsx"])
@pytest.mark.parametrize(
    "content",
    [
        "x = <a b='x&y=1' c=\"p & q\">AT&T &nbsp; a && b</a>;",
        "x = <img class='b' for=\"c\" />;",
        "x = <A.B {...c} d:e='f'>{/* g */}</A.B>;",
    ],
)
def test_valid_elements(content: str, language: str) -> None:
    assert parsed(content, language).faults == ()


@pytest.mark.parametrize(
    ("content", "language", "place"),
    [
        ("x = 1;\nlet = = 2;\n", "javascript", (2, 7)),
        ("function f( {\n", "javascript", (1, 1)),
        ("x = 1;\nlet x: number = 1;\n", "javascript", (2, 5)),
        ("import type { A } from 'a';\n", "javascript", (1, 8)),
        ("é = 'ü'; )\n", "javascript", (1, 10)),
        ("x = 1;\ny = <a></a>;", "typescript", (2, 3)),
    ],
)
def test_fault_place(content: str, language: str, place: tuple[int, int]) -> None:
    faults = parsed(content, language).faults
    assert faults
    assert (faults[0].line, faults[0].column) == place


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ("x = <a><b></c></a>;", 11),
        ("x = <><b /></a>;", 12),
        ("x = <a b{c} />;", 9),
        ("x = <a b={ /* c */ } />;", 10),
        ("f(, a);", 3),
        ("x = { a, , b };", 10),
        ("function (a) {}", 1),
    ],
)
def test_early_errors(content: str, column: int) -> None:
    assert [f.column for f in parsed(content, "tsx").faults] == [column]


def test_holes_in_arrays_and_commas_in_text_are_no_errors() -> None:
    assert parsed("x = [, a, , b]; const [, c] = '(,'; (function () {})();").faults == ()


def test_faults_are_bounded_and_in_order() -> None:
    faults = parsed(") = (;\n" * 500, "javascript").faults
    assert 0 < len(faults) <= 20
    assert list(faults) == sorted(faults)


def test_a_byte_that_does_not_decode_is_no_fault() -> None:
    assert parsed(b"// caf\xe9\nx = '\xe9';\n", "javascript").faults == ()


def test_utf16() -> None:
    found = parsed("const é = 1;\nexport { é };\n".encode("utf-16"), "javascript")
    assert found.faults == ()
    assert [(s.name, s.line, s.column) for s in found.symbols()] == [("é", 1, 7), ("é", 2, 10)]


def test_a_faulty_file_still_has_symbols_but_no_name_findings() -> None:
    found = parsed("import a from 'a';\nfunction f() { let b; }\n) = (;\n", "javascript")
    assert found.faults
    assert [s.name for s in found.symbols()] == ["a", "f", "b"]
    assert list(found.name_findings()) == []


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


def test_import_type_is_one_leaf() -> None:
    tree, _ = decode("let a: import('x').B<C>;", "typescript")
    assert "import_type" in tree["type_names"]
    assert "import('x')" in tree["strings"]


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
        ("declare function f(a: string): void;", [("f", "function", "module")]),
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
        ("import 'x';", [("import", "x", None, None)]),
        (
            "import a, { b, c as d } from 'x';",
            [
                ("import", "x", "default", "a"),
                ("import", "x", "b", None),
                ("import", "x", "c", "d"),
            ],
        ),
        ("import * as ns from 'x';", [("import", "x", "*", "ns")]),
        (
            "const a = require('x'); require(y); import('z');",
            [("import", "x", None, "a"), ("import", "z", None, None)],
        ),
        ("const m = await import('x');", [("import", "x", None, "m")]),
        ("import e = require('x');", [("import", "x", None, "e")]),
        ("let a: import('x').B;", [("import", "x", None, None)]),
        (
            "export { a, b as c } from 'x'; export * from 'y'; export * as z from 'z';",
            [
                ("export", "x", "a", None),
                ("export", "x", "b", "c"),
                ("export", "y", "*", None),
                ("export", "z", "*", "z"),
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


# Findings

MODULE = "export {};\n"


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("import a, { b as c } from 'x'; import * as d from 'y';", ["a", "c", "d"]),
        ("import a from 'x'; export { a };", []),
        ("import { A, B, C, D } from 'x'; export type T = A.X & B; let y: C = z as D; y();", []),
        ("import type { A } from 'x'; export class B implements A {}", []),
        ("import { a } from 'x'; export type T = typeof a;", []),
        ("import { a } from 'x'; @a() export class B {}", []),
        ("import a = require('x');", ["a"]),
        ("import { a } from 'x'; export const b = { a };", []),
        ("import { a } from 'x'; export const b = `${a}`;", []),
        ("import { a } from 'x'; a: for (;;) break a;", ["a"]),
        ("import { a } from 'x'; export const b = c.a;", ["a"]),
        ("import { a } from 'x'; function f(a) { return a } f();", ["a"]),
        ("import { P } from 'x'; export const b = styled.div<P>`x`;", []),
    ],
)
def test_unused_imports(content: str, names: list[str]) -> None:
    assert unused(content) == names


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (
            "let a; var b = 1; const c = () => c; function d() { d() } class E { m() { E } }",
            ["a", "b", "c", "d", "E"],
        ),
        ("let x = 0; x = 1; x++; x += 2; x = x + 1;", ["x"]),
        ("let x = 0; y = x++;", []),
        ("let x = 0; for (;; x++) ;", []),
        ("let x; x ??= f();", []),
        ("let x; while (a) { x = x + 1 }", []),
        ("let x; function f() { x = x + 1 } f();", []),
        ("let x; x = () => x;", []),
        ("function f(a, { b }, ...c) {} f();", []),
        ("try {} catch (e) {}", []),
        ("const { a, b: c, ...rest } = x; f(rest);", []),
        ("const [, b] = x; const _c = 1;", ["b"]),
        ("for (const x of y) ; for (const k in o) return true;", ["x"]),
        ("{ var v = 1 } f(v);", []),
        ("f(g); function g() {}", []),
        ("const f = function h() {}; f();", []),
        ("let a; eval('a');", []),
        ("function f() { let a; with (b) { c } } f()", []),
        ("switch (a) { case 1: let b; }", ["b"]),
        (
            "type A = B; interface B { a: B } enum C { D } namespace N { export const z = 1 }",
            ["A", "C", "N"],
        ),
        ("function f<T>(this: Foo, a: (b: string) => void): void; function f(a) {} f();", []),
        ("declare const d: string; declare function e(): void;", []),
        ("class A { constructor(private x: string) {} } new A();", []),
        ("type A<T> = T extends (infer U)[] ? U : never; f<A<B>>();", []),
        ("const A = 1; type A = string; let b: A; b();", []),
    ],
)
def test_unused_variables(content: str, names: list[str]) -> None:
    language = "javascript" if "with (" in content else "typescript"
    assert unused(MODULE + content, language) == names


def test_the_message_says_how_a_name_is_unused() -> None:
    found = list(parsed("export {}; let a = 1; function f() {}").name_findings())
    assert [f.message for f in found] == [
        "`a` is assigned but never used",
        "`f` is defined but never used",
    ]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("var a = 1; function f() {}", []),
        ("var a = 1; function f() { let b; }", ["b"]),
        ("const a = require('x');", ["a"]),
        ("module.exports = 1; function f() {}", ["f"]),
    ],
)
def test_the_top_level_of_a_script_is_global(content: str, names: list[str]) -> None:
    assert unused(content, "javascript") == names


def test_declaration_files_report_imports_only() -> None:
    content = "import { A } from 'a';\ndeclare const b: string;\ninterface C {}\nexport {};\n"
    assert unused(content) == ["A"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("import React from 'react'; export const a = <div />;", []),
        ("import React from 'react'; export const a = 1;", ["React"]),
        ("/** @jsx h */ import { h } from 'p'; export const a = <b />;", []),
        (
            "import { Foo, Bar, div } from 'x'; export const a = <Foo><Bar.Baz /><div /></Foo>;",
            ["div"],
        ),
        ("import { a } from 'x'; export const b = <c a={1}>{d}</c>;", ["a"]),
    ],
)
@pytest.mark.parametrize("language", ["jsx", "tsx"])
def test_elements_use_names(content: str, names: list[str], language: str) -> None:
    assert unused(content, language) == names


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("let a; function f(a) {}", ["a"]),
        ("let a; { let a; }", ["a"]),
        ("import a from 'x'; const f = () => { const a = 1; };", ["a"]),
        ("{ let a; } let a;", []),
        ("{ let f; } function f() {}", ["f"]),
        ("const f = function f() {}; const C = class C {}; const g = memo(function g() {});", []),
        ("class A { m() { class A {} } }", ["A"]),
        ("type a = string; function f(a) {}", []),
        ("import type { a } from 'x'; function f(a) {}", []),
        ("let a; type F = (a: string) => void; declare function g(a: string): void;", []),
        ("let a; enum E { a }", []),
        ("let a; try {} catch (a) {}", ["a"]),
        ("let a; eval(''); { let a; }", ["a"]),
        ("let a; function f() { eval(''); let a; }", []),
        ("function f(f) {}", ["f"]),
        ("var a; if (b) { var a; }", []),
    ],
)
def test_shadowing(content: str, names: list[str]) -> None:
    assert shadowed(content) == names


def test_asking_twice_gives_the_same_answer() -> None:
    found = parsed("let a; { let a; }")
    assert list(found.name_findings()) == list(found.name_findings()) != []


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
    assert bool(found.faults) == (kind == "unclosed")
    assert found.encode().nodes > 0
    assert found.metrics().module.cyclomatic >= 1
    assert all(len(s.scope) < 300 for s in found.symbols())
    assert list(found.edges()) == []
    list(found.name_findings())


def test_a_long_ladder_stays_flat() -> None:
    found = metrics(DEEP["else if"])
    assert found.module == ("module", 1, 5_002, 5_001, 1)


def test_the_front_end_knows_its_languages() -> None:
    frontend = frontend_for("tsx")
    assert frontend is not None
    assert frontend.languages == frozenset(LANGUAGES)
