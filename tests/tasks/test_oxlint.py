"""JavaScript and TypeScript: what the languages accept, and unused and shadowing names."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import Outcome

from codebatch.tasks.languages.detect import FACETS, detect_language
from codebatch.tasks.languages.ecmascript.oxlint import OXLINT, OxlintRun
from codebatch.tasks.native_tool import NativeTool, ToolError
from codebatch.tasks.registry import find_task
from codebatch.tasks.source import SourceFile

File = tuple[str, "str | bytes"]


def source_of(path: str, content: str | bytes) -> SourceFile:
    data = content.encode() if isinstance(content, str) else content
    facets = {name: facet(path) for name, facet in FACETS.items()}
    return SourceFile(data, detect_language(path, lambda: data), facets)


def diagnostics(task_name: str, files: Sequence[File], codes: str) -> list[list[dict[str, object]]]:
    """The diagnostics of a task with given first letters of their code, per file."""
    task = find_task(task_name)
    config = task.resolve_config({})
    sources = [source_of(path, content) for path, content in files]
    prepared = task.prepare_now(sources, config)
    return [
        [
            record
            for record in task.run(task.file(source, {}, value), config)
            if record["kind"] == "diagnostic" and record["code"].startswith(codes)
        ]
        for source, value in zip(sources, prepared, strict=True)
    ]


def errors(path: str, content: str | bytes) -> list[tuple[int, int, str]]:
    (found,) = diagnostics("parse", [(path, content)], "E")
    return [(r["line"], r["column"], r["message"]) for r in found]  # type: ignore[misc]


def rejecting(paths: list[str], content: str) -> list[str]:
    """The names under which a content is rejected."""
    found = diagnostics("parse", [(path, content) for path in paths], "E")
    return [path for path, records in zip(paths, found, strict=True) if records]


def names(path: str, content: str | bytes) -> list[tuple[str, str]]:
    """Codes and names of findings, in order."""
    assert errors(path, content) == []
    (found,) = diagnostics("lint", [(path, content)], "L1")
    named = [record for record in found if record["code"] != "L199"]
    return [(str(r["code"]), str(r["message"]).split("'")[1]) for r in named]


def unused(path: str, content: str) -> list[str]:
    return [name for code, name in names(path, content) if code != "L103"]


def shadowing(path: str, content: str) -> list[str]:
    return [name for code, name in names(path, content) if code == "L103"]


# What the languages accept


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "#!/usr/bin/env node\nx = 1\n",
        "\ufeffx = 1;",
        "\ufeff#!/usr/bin/env node\nx = 1\n",
        "x = 'a\u2028b';",
        "x = 1 // c\u2028y = 2",
        "var é = 'ü', 变量 = 1, \\u0061b = 2;",
        "x = 1\ry = 2\r// c\rz()",
        "/* \0 */ x = 1;",
        "let sub\n[sub, b] = c;",
        "export * from 'x' with { type: 'json' };",
        "import a from 'x' with { type: 'json' };",
        "import defer * as a from 'x'; a();",
        "import source a from 'x'; a();",
        "import source from 'x'; import defer from 'y'; source(defer);",
        "import { do as a, default as b, if as c } from 'x'; a(b, c);",
        "import { do as x } from 'x'; x(1 < 2, 3 > (4)); x(a < b, c > (d), e<f, g>(h));",
        "export { if, do as while, default as function } from 'x';",
        "import { 'a b' as c } from 'x'; export { c as 'd e' };",
        "x = a\n++b",
        "x = { async, get, set, static: 1, await: 2, of, type, using, accessor };",
        "class A { static { this.x = 1 } #a; m() { return #a in this } }",
        "class A { get; set; static; async; accessor; static static; static async() {} }",
        "class A { a\n*b() {} 'use' = 1\n;['c'] = 2 }",
        "class A { static get\nfoo() { return 1 } }",
        "class A { accessor x = 1; static accessor #y; accessor\nz }",
        "for (async of => 1;;) break;",
        "for (let of of []) ;",
        "for (using of of) ;",
        "let using = 1, type = 2, accessor = 3, get = 4, async = 5, of = 6, as = 7;",
        "let using; using\nx = 1;",
        "using\n(1)",
        "async\nfunction f() {}",
        "{ using x = f(), y = g(); }",
        "async function f() { await using x = g(); for (await using y of z) ; }",
        "x ??= a?.b?.[c]?.(d) ?? 1_000n ** 2n;",
        "String.raw`C:\\users\\xyz`; latex`\\unicode \\u{ \\01`;",
        "a /* \n */ b",
        "function f() { return /* \n */ 1 }",
        "x\n/* a\n b */ ++\ny",
        "@dec class A { @dec m() {} @dec() x; @a.b.c static y; @(d[0]) z }",
        "@dec export class A {}",
        "export @dec class A {}",
        "export default @dec class {}",
        "x = @dec class {};",
        "if (a) { function f() {} }",
        "x = /[/]/u.test(a) || /(?<y>a)\\k<y>/v || /a/dgimsy;",
        "label: for (;;) { continue label; }",
        "x = async (a) => { for await (const b of a) yield_(b) };",
        "function f() { return new.target }",
        "import.meta.url;",
        "x = import('a'); y = import('b', { with: {} });",
        "x = { __proto__: null, 'a'() {}, *b() {}, async *[c]() {}, get d() { return 1 } };",
        "try { } catch { } finally { }",
        "a`b`;",
        "var a; var a; { function f() {} }",
        "x = 0b1 + 0o7 + 0xf + 1e3 + .5 + 5..x;",
    ],
)
def test_accepted_everywhere(content: str) -> None:
    assert rejecting(["m.js", "m.jsx", "m.mjs", "m.ts", "m.tsx", "m.mts"], content) == []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("m.js", "with (a) { b }"),
        ("m.js", "var x = 010, y = '\\07', let = 1, await = 2, yield = 3;"),
        ("m.js", "if (a) function f() {} else function g() {}"),
        ("m.js", "<!-- a\nx = 1\n--> b\ny = 2"),
        ("m.js", "return 1;"),
        ("m.js", "new.target;"),
        ("m.js", "await f(); x = <a/>;"),
        ("m.js", "for await (const x of y) ;"),
        ("m.ts", "for await (const x of y) ;"),
        ("m.cjs", "return new.target;"),
        ("m.cjs", "with (a) { b } delete c;"),
        ("m.cjs", "import a from 'x'; export { a };"),
        ("m.mjs", "await f(); export { x as default } from 'y';"),
        ("m.js", "x = <a-b.c-d e-f:g-h='i'/>;"),
        ("m.jsx", "x = <a b={c, d}/>;"),
        ("m.jsx", "using x = <a/>; for await (y of x) ;"),
        ("m.tsx", "using x = <a/>;"),
        ("m.js", "var let; let\n++let; let ? let => let : { let }; f(let)\nlet: if (let) let\n"),
        ("m.cjs", "let\nfunction f() {} while (0) let\nx"),
        ("m.js", "f() = 1; f(g)++; --a.b(); a[b]() >>>= 2; for (f() in x) ; for (f()() of x) ;"),
        ("m.mjs", "f('é') = `${1}`; export {};"),
    ],
)
def test_accepted_as_what_the_name_says_or_leaves_open(path: str, content: str) -> None:
    assert errors(path, content) == []


@pytest.mark.parametrize(
    "content",
    [
        "x = <a b='x&y=1' c=\"p & q\">AT&T &nbsp; a && b</a>;",
        "x = <img class='b' for=\"c\" data-a aria-b-c='d' />;",
        "x = <A.B.C {...c} d:e='f'>{/* g */}{...h}</A.B.C>;",
        "x = <><a/>{b}</>;",
        "x = <this.a/>;",
        "x = <a b=<c/> d=<></>/>;",
        "x = <a>don't // stop /* here</a>;",
    ],
)
def test_elements_are_accepted(content: str) -> None:
    assert rejecting(["m.js", "m.jsx", "m.mjs", "m.cjs", "m.tsx"], content) == []


@pytest.mark.parametrize(
    "content",
    [
        "interface F {\n  (x: number): void\n  <T>(x: T): T\n  new <T>(x: T): T\n}",
        "export interface A { <T>(x: T): T; (y: string): void }",
        "class A { x\n<T>() {} }",
        "const type = 1; export { type };",
        "export { type } from './a';",
        "export { type as kind, type type, type type as as } from './a';",
        "import { type, type as as, type type as b } from './a'; f(type, as, b);",
        "import type from './a'; import type b, { c } from './d'; f<type, b>(c);",
        "import type a, { b } from './c'; f(a, b);",
        "class Box { accessor() { return 1 } type() {} declare() {} readonly() {} abstract() {} }",
        "class Box { private accessor: number = 1; static override = 2; declare; readonly }",
        "class Box { accessor = (row: number) => row; get = 1; set: string; async?: number }",
        "class A { static accessor x = 1; declare readonly y: string; override accessor z = 1 }",
        "type N<type> = (type extends string ? 1 : 2);",
        "type N<of, get, as> = [of, get, as];",
        "type A = [name: string, symbol: string]; type B = [new: string, string: number];",
        "type C = [function: string, if?: number, ...for: string[]];",
        "interface R<in out A extends { x: 1 }, in out B> { a: A; b: B }",
        "interface R<in out A extends () => void, out B = string> { a: A; b: B }",
        "class R<in A = { b: (c: string) => void }> {}",
        "function f<const T extends readonly unknown[]>(this: Foo, x?: T): asserts x is string {}",
        "type A = import('x').B<C>; let a: typeof import('x'); type D = import('x', {with: {}});",
        "export type * from 'a'; export type * as q from 'b';",
        "abstract class A { abstract get x(): string; abstract accessor y: number; abstract m() }",
        "declare module 'x' { global { interface A {} } } declare module 'y';",
        "export default function (a: string): void;",
        "interface A { abstract: boolean; abstract?: string } a.abstract = abstract;",
        "type A = (number) => void; let f: ({ a: b }: C) => D; type G = new () => abstract;",
        "type A = abstract new () => void; type B = asserts; let c: unique symbol;",
        "const X = styled( T )< { a?: B; c: D } >`x${ b => `y${b}` } }`;",
        "let x = <const>['a'] satisfies readonly string[]; let y = x as const;",
        "let x = a! as any as B; x!.y!(); a<b>; a<b>(c); new A<B>; f<T>?.();",
        "enum E { A = 1, 'b', C = A << 1 } const enum F {} declare enum G { H }",
        "namespace A.B.C { export const x = 1 } declare global { var y: string }",
        "function f(a: string): void; function f(a: number): void; function f(a: any) {}",
        "class A { m(): void; m(a?: any) {} constructor(private readonly x: A, public y = 1) {} }",
        "type M = { readonly [K in keyof T as `a${K}`]-?: K }; type G = { get a(): 1; set a(b) }",
        "type U = | A | B; type I = & A & B; type T = typeof a.b<C>; type L = `a${B}c`;",
        "let a: keyof readonly string[]; let b: A[B][]; let c: (new () => A)[] | null;",
        "function isA(this: A): this is B {} function g(x): asserts x {}",
        "import a = require('a'); import b = c.d; export import e = f.g; export = a;",
        "export as namespace A;",
        "let f = async <T,>(x: T) => x; let g = <T extends A>(x: T): x is B => true;",
        "a < b || c >> d; f(a < b, c > (d)); x = a < b ? c : d;",
        "declare function f(a, b?): string; declare let x, y: number; declare class A { m(); }",
        "class A { [a: string]: any; static [b: number]: C; 'd'?: E; f!: G }",
        "for (const x of <any>y) ; if ((a as B) < c) {}",
        "x = y satisfies Z; satisfies; as; is; keyof; infer; unique; asserts; out;",
        "type A<T> = T extends (infer U extends string)[] ? U : never;",
        "let x: A.B.C<D>['e'] = f?.() ?? g!;",
        "abstract class A { private abstract readonly x: string; protected abstract m?(): void }",
        "@dec() abstract class A { @a() @b private c; constructor(@d e, @f() private g) {} }",
        "using: for (;;) break using; let type\n= 1; type\nA\n= 2;",
    ],
)
def test_typescript_is_accepted(content: str) -> None:
    like_an_element = "<const>" in content or "<any>" in content
    assert rejecting(["m.ts"] if like_an_element else ["m.ts", "m.tsx"], content) == []


@pytest.mark.parametrize(
    "content",
    [
        "export declare const a: string; export default a; export { b } from 'x';",
        "declare const _default: { x: import('y').Z<string> }; export default _default;",
        "export const version = '1.2';",
        "interface A {}; declare module X {};",
        "export = a; export const b: string;",
        "export function f(a?, b): void; export class A { private x; static m<T>(): T; }",
        "export { notDefined };",
    ],
)
def test_what_only_a_checker_rejects_is_accepted(content: str) -> None:
    assert rejecting(["m.d.ts", "m.d.mts", "m.d.cts", "m.d.css.ts"], content) == []


@pytest.mark.parametrize(
    "content",
    [
        "'use strict'; let\n",
        "let\n; export {};",
        "class A { m() { let } }",
        "let let = 1;",
        "let\nlet = 1;",
        "for (let of x) ;",
        "new f() = 1;",
        "f?.() = 1;",
        "a + f() = 1;",
        "(f(), 1) = 1;",
        "[f()] = 1;",
        "f() &&= 1;",
        "import('x') = 1;",
    ],
)
def test_what_is_no_name_and_no_call_is_rejected(content: str) -> None:
    assert rejecting(["m.js", "m.cjs"], content) == ["m.js", "m.cjs"]


BROKEN_EVERYWHERE = [
    "let = = 2;",
    "function f( {",
    "f(;",
    "x = (1;",
    "x = [1;",
    "x = {a: 1;",
    "é = 'ü'; )",
    "x = 'a",
    "x = `a",
    "x = `\\unicode`;",
    "x = /(/;",
    "x = /a",
    "x = /a/gg;",
    "/* a",
    "if (a {",
    "for (;) {}",
    "class A { m( { }",
    "class A { constructor() {} constructor() {} }",
    "x = { a, , b };",
    "f(, a);",
    "function (a) {}",
    "let a; let a;",
    "const a = 1; { let b; var b; }",
    "const x;",
    "break;",
    "for (;;) { function f() { continue } }",
    "a: a: ;",
    "1 = 2;",
    "a + b = c;",
    "a?.b = 1;",
    "x = a ?? b || c;",
    "x = -1 ** 2;",
    "async () => { for await (x in y) ; }",
    "for (async of []) ;",
    "function* g() { yield\n* 2 }",
    "import { a } from;",
    "import a, b from 'c';",
    "export { if };",
    "import { if } from 'x';",
    "export default 1; export default 2;",
    "x = 1a;",
    "x = 1__0;",
    "x = 08n;",
    "x = '\\u{110000}';",
    "x = a => {} + 1;",
    "throw\n1;",
    "switch (a) { default: default: }",
    "try {}",
    "class A extends B { m() { super() } }",
    "class A { m() { this.#x } }",
    "new import('a');",
    "({ a = 1 });",
    "@dec let x;",
    "<<<<<<< a\nx = 1\n=======\nx = 2\n>>>>>>> b",
]


@pytest.mark.parametrize("content", BROKEN_EVERYWHERE)
def test_broken_javascript(content: str) -> None:
    paths = ["m.js", "m.jsx", "m.mjs", "m.cjs"]
    assert rejecting(paths, content) == paths


# TypeScript's parser leaves these to its checker, or takes them for declarations to come.
FOR_THE_CHECKER = {
    "class A { constructor() {} constructor() {} }",
    "export default 1; export default 2;",
    "switch (a) { default: default: }",
    "class A extends B { m() { super() } }",
}


@pytest.mark.parametrize("content", [c for c in BROKEN_EVERYWHERE if c not in FOR_THE_CHECKER])
def test_broken_typescript(content: str) -> None:
    assert errors("m.ts", content)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("m.js", "let x: number = 1;"),
        ("m.js", "import type { A } from 'a'; export { A };"),
        ("m.js", "interface A {}"),
        ("m.js", "enum A {}"),
        ("m.js", "x as y;"),
        ("m.js", "function f(a?) {}"),
        ("m.js", "import.meta; with (a) {}"),
        ("m.mjs", "with (a) {}"),
        ("m.mjs", "x = 010;"),
        ("m.mjs", "var await;"),
        ("m.mjs", "delete a;"),
        ("m.jsx", "x = <a></b>;"),
        ("m.jsx", "x = <a b={}/>;"),
        ("m.jsx", "x = <a b={ /* c */ } />;"),
        ("m.jsx", "x = <a b{c} />;"),
        ("m.jsx", "x = <a/><b/>;"),
        ("m.jsx", "x = <a b=c/>;"),
        ("m.jsx", "x = <><b /></a>;"),
        ("m.ts", "y = <a></a>;"),
        ("m.ts", "type A = ;"),
        ("m.ts", "interface A { x: }"),
        ("m.ts", "let x: string number;"),
        ("m.ts", "class A { private }}"),
        ("m.ts", "enum A { b c }"),
        ("m.ts", "a<b>.c;"),
        ("m.ts", "type A = [a: string, b"),
        ("m.ts", "declare module { }"),
        ("m.ts", "import { type a b } from 'x';"),
        ("m.tsx", "let f = <T>(x: T) => x;"),
        ("m.d.ts", "export declare const a: ;"),
        ("m.ts", "\0\0\0"),
    ],
)
def test_broken(path: str, content: str) -> None:
    assert errors(path, content)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("x = 1;\nlet = = 2;\n", (2, 7)),
        ("é = 'ü'; )\n", (1, 10)),
        ("\ufeffé = '😀'; )\n", (1, 10)),
        ("a;\r\nb;\r\n😀", (3, 1)),
        ("a\r// ü\r\r😀 )", (4, 1)),
        ("'\u2028é' ; )", (1, 8)),
        ("let a;\nlet b, a;", (2, 8)),
        ("x = 1;\ny = (", (2, 6)),
    ],
)
def test_the_place_of_an_error_counts_characters(content: str, place: tuple[int, int]) -> None:
    for data in (content.encode(), content.replace("\ufeff", "").encode("utf-16")):
        assert errors("m.js", data)[0][:2] == place


def test_errors_are_bounded_and_in_order() -> None:
    found = errors("m.js", "{ let a; let a; }\n" * 500)
    assert len(found) == 20
    assert found == sorted(found)


def test_a_byte_that_does_not_decode_is_no_error() -> None:
    assert errors("m.js", b"// caf\xe9\nx = '\xe9';\n") == []
    assert errors("m.js", "const é = 1;\nexport { é };\n".encode("utf-16")) == []
    assert errors("m.js", b"x = \xe9") != []


def test_a_file_is_judged_alone() -> None:
    """Neither order nor company nor equal files change what is said of one."""
    files: list[File] = [
        ("a.js", "x = ;"),
        ("b.js", b"\xff\xfe\xff"),
        ("c.ts", "import { a } from './d'; export const b: number = 1;"),
        ("d.ts", "export const a = ;"),
        ("e.mjs", "let a; { let a; }"),
        ("f.js", ""),
        ("g.js", "with (a) {}"),
        ("h.py", "import os\n"),
        ("i.d.ts", "export const a = 1;"),
    ]
    for task, codes in (("parse", "E"), ("lint", "L1")):
        together = diagnostics(task, files, codes)
        assert together == [diagnostics(task, [file], codes)[0] for file in files]
        assert together[::-1] == diagnostics(task, files[::-1], codes)
        assert sum(map(len, together)) >= 3


@pytest.mark.parametrize(
    "content", ["x = 1; // @flow\nx = ;", "/* @flowers */ x = ;", "// me@flow.org\nx = ;"]
)
def test_what_is_not_in_flow_is_judged(content: str) -> None:
    assert errors("m.js", content)


def test_a_decorator_may_be_named_flow() -> None:
    assert names("m.js", "import { flow } from 'a'; export @flow class B {}") == []


@pytest.mark.slow
def test_a_file_that_oxlint_dies_of_costs_no_other(
    tmp_path: Path, main: Callable[..., Outcome]
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "deep.js").write_text("x = " + "[" * 245_000 + "]" * 245_000)
    (tree / "a.js").write_text("x = ;\n")
    (tree / "b.mjs").write_text("import b from 'b';\n")
    store = tmp_path / "store"
    main("scan", tree, "--store", store, "--scheduler", "sync")
    found = json.loads(main("errors", "--store", store, "--json").stdout)
    assert sorted((r["path"], r["code"]) for r in found) == [
        *(("a.js", "E0001"), ("b.mjs", "L101"), ("deep.js", "E0003")),
    ]


# Unused names


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("import a, { b as c } from 'x'; import * as d from 'y';", ["a", "c", "d"]),
        ("import a from 'x'; export { a };", []),
        ("import { A, B, C, D } from 'x'; export type T = A.X & B; let y: C = z as D; y();", []),
        ("import type { A } from 'x'; export class B implements A {}", []),
        ("import { type A, type B } from 'x'; export let a: A;", ["B"]),
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
def test_unused_imports(content: str, expected: list[str]) -> None:
    found = [(code, name) for code, name in names("m.ts", content) if code != "L103"]
    assert found == [("L101", name) for name in expected]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "let a; var b = 1; const c = () => c; function d() { d() } class E { m() { E } }",
            ["a", "b", "c", "d", "E"],
        ),
        ("let x = 0; x = 1; x++; x += 2; x = x + 1;", ["x"]),
        ("let again; again = () => again();", ["again"]),
        ("let x = 0; y = x++;", []),
        ("let x = 0; for (;; x++) ;", []),
        ("function f(a, { b }, ...c) {} f();", []),
        ("try {} catch (e) {}", []),
        ("const { a, b: c, ...rest } = x; f(rest);", []),
        ("let f, rest; ({ f, ...rest } = x); g(rest);", []),
        ("const [, b] = x; const _c = 1;", ["b"]),
        ("for (const x of y) ; for (const k in o) return true;", ["x"]),
        ("{ var v = 1 } f(v);", []),
        ("f(g); function g() {}", []),
        ("const f = function h() {}; f();", []),
        ("switch (a) { case 1: let b; }", ["b"]),
        (
            "type A = B; interface B { a: B } enum C { D } namespace N { export const z = 1 }",
            ["A", "C", "N"],
        ),
        ("function f<T>(this: Foo, a: (b: string) => void): void; function f(a) {} f();", ["T"]),
        ("class A { constructor(private x: string) {} } new A();", []),
        ("type A<T> = T extends (infer U)[] ? U : never; f<A<B>>();", []),
        ("const A = 1; type A = string; let b: A; b();", []),
        ("declare const d: string; declare function e(): void;", ["d"]),
        ("declare namespace lib { class P { stop(): void } const q: 1 } new lib.P();", []),
        ("declare module 'x' { export default (a: any) => a; class P {} }", []),
        ("declare global { interface Window { q: 1 } var r: string; }", []),
        ("namespace N { const z = 1; type T = 1 } N.x;", ["z", "T"]),
    ],
)
def test_unused_variables(content: str, expected: list[str]) -> None:
    found = [(code, name) for code, name in names("m.ts", f"export {{}}; {content}")]
    assert [item for item in found if item[0] != "L103"] == [("L102", name) for name in expected]


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("m.js", "var a = 1; let { b, c: [d] } = e; function f() {} class G {}", []),
        ("m.js", "var a = 1; function f() { let b; } { let c; var d; }", ["b", "c"]),
        ("m.js", "const a = require('x');", ["a"]),
        ("m.js", "module.exports = 1; function f() {}", ["f"]),
        ("m.js", "function f(module) { module.exports = 1 } var a;", []),
        ("m.js", "const a = 1; export {};", ["a"]),
        ("m.js", "const a = 1; await b;", ["a"]),
        ("m.mjs", "const a = 1;", ["a"]),
        ("m.cjs", "const a = 1;", ["a"]),
        ("m.mts", "const a = 1; type B = 1; namespace C {}", ["a", "B", "C"]),
        ("m.cts", "const a = 1; enum B {}", ["a", "B"]),
        ("m.ts", "const a = 1; type B = 1; interface C {} enum D {} namespace E {}", []),
        ("m.ts", "type A = 1; function f() { type B = 1 } namespace N { type C = 1 }", ["B", "C"]),
        ("m.ts", "type A = 1; export {};", ["A"]),
        ("m.ts", "for (const a of b) ; { let c; } type D = 1;", ["a", "c"]),
        ("m.jsx", "const a = 1;", []),
        ("m.tsx", "const a = 1; type B = 1;", []),
        ("m.d.ts", "import { A } from 'a'; declare const b: string; interface C {}", []),
    ],
)
def test_the_top_level_of_a_script_is_for_others(
    path: str, content: str, expected: list[str]
) -> None:
    assert unused(path, content) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("import React from 'react'; export const a = <div />;", []),
        ("/** @jsx h */ import { h } from 'p'; export const a = <b />;", []),
        (
            "import { Foo, Bar, div } from 'x'; export const a = <Foo><Bar.Baz /><div /></Foo>;",
            ["div"],
        ),
        ("import { a } from 'x'; export const b = <c a={1}>{d}</c>;", ["a"]),
    ],
)
@pytest.mark.parametrize("path", ["m.js", "m.jsx", "m.tsx"])
def test_elements_use_names(path: str, content: str, expected: list[str]) -> None:
    assert unused(path, content) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
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
        ("let a; try {} catch (a) {}", ["a"]),
        ("function f(f) {}", ["f"]),
        ("var a; if (b) { var a; }", []),
        ("function f() { var name, top, event, Object; }", []),
    ],
)
def test_shadowing(content: str, expected: list[str]) -> None:
    assert shadowing("m.ts", content) == expected


def test_what_a_finding_says() -> None:
    (found,) = diagnostics(
        "lint", [("m.js", "// é😀\r\n/* 😀 */ import a from 'b'; let c = 1; { let c; }")], "L10"
    )
    keys = ("code", "rule", "line", "column", "severity", "message")
    assert [tuple(record[key] for key in keys) for record in found] == [
        *(
            (
                "L101",
                "no-unused-vars",
                2,
                16,
                "warning",
                "Identifier 'a' is imported but never used",
            ),
        ),
        *(("L102", "no-unused-vars", 2, 32, "warning", "Variable 'c' is declared but never used"),),
        *(("L102", "no-unused-vars", 2, 45, "warning", "Variable 'c' is declared but never used"),),
        *(("L103", "no-shadow", 2, 45, "info", "'c' is already declared in the upper scope"),),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("import a from 'x'; // noqa\nimport b from 'x';", ["b"]),
        ("import a from 'x'; // noqa: F401\nimport b from 'x'; // noqa: L102", ["b"]),
        ("import a from 'x'; // eslint-disable-line\nimport b from 'x';", ["b"]),
        (
            "// eslint-disable-next-line no-unused-vars\nimport a from 'x';\nimport b from 'x';",
            ["b"],
        ),
        ("/* eslint-disable no-unused-vars */ import a from 'x';", []),
        ("/* oxlint-disable */ import a from 'x';", []),
        ("/* eslint no-unused-vars: off */ import a from 'x';", ["a"]),
    ],
)
def test_comments_that_silence(content: str, expected: list[str]) -> None:
    assert unused("m.ts", content) == expected


def test_comments_do_not_silence_errors() -> None:
    assert errors("m.js", "/* eslint-disable */ // noqa\nx = ; // eslint-disable-line noqa\n")


def test_a_broken_file_has_no_names() -> None:
    (found,) = diagnostics("lint", [("m.js", "import a from 'b';\n) = (;\n")], "L1")
    assert found == []


def test_only_the_chosen_rules() -> None:
    task = find_task("lint")
    source = source_of("m.mjs", "import a from 'b'; let c; { let c; }")
    for rules in (["L101"], ["L102"], ["L103"], ["L101", "L103"], []):
        config = task.resolve_config({"rules": rules})
        (value,) = task.prepare_now([source], config)
        records = list(task.run(task.file(source, {}, value), config))
        assert sorted({record["code"] for record in records}) == rules


def test_minified_files_are_not_asked_about() -> None:
    dense = "export{};" + "let a=1;{let a=2}" * 1
    line = dense + "f();" * 2000
    task = find_task("lint")
    config = task.resolve_config({})
    assert task.prepare_now([source_of("m.js", line)], config) == [None]
    assert task.prepare_now([source_of("m.min.js", dense)], config) == [None]


# oxlint as a program


def test_nothing_around_the_copies_is_read(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    for name in (".gitignore", ".ignore", ".eslintignore", ".oxlintignore"):
        (tmp_path / name).write_text("*\n")
    (tmp_path / ".oxlintrc.json").write_text('{"ignorePatterns": ["**"]}')
    (tmp_path / "tsconfig.json").write_text("{")
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert unused("m.mjs", "import a from './b';") == ["a"]
    assert errors("m.js", "x = ;")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_nothing_to_do() -> None:
    assert OxlintRun([], {}).remarks() == []


@pytest.mark.parametrize("said", ["", "[]", '{"diagnostics": []}', '{"diagnostics": [1]}', "x"])
def test_an_oxlint_that_is_not_understood_is_one_line_of_error(
    said: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "oxlint"
    program.write_text(f"#!/bin/sh\nprintf %s '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setattr(NativeTool, "binary", lambda _: str(program))
    with pytest.raises(ToolError, match="oxlint") as caught:
        errors("m.js", "x = 1;")
    assert "\n" not in str(caught.value)


def test_the_version_is_the_binarys() -> None:
    out = subprocess.run([OXLINT.binary(), "--version"], capture_output=True, check=True).stdout
    assert out.decode().split()[-1] == OXLINT.version()


@pytest.mark.parametrize("task", ["parse", "lint"])
def test_the_version_is_in_the_fingerprint(task: str) -> None:
    toolchain = find_task(task).toolchain()
    assert toolchain["oxlint"] == OXLINT.version()
    assert json.dumps(dict(toolchain))
