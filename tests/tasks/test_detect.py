"""Languages and facets of paths."""

from __future__ import annotations

import pytest

from codebatch.tasks.languages.authorship import DATA_LANGUAGES
from codebatch.tasks.languages.detect import FACETS, detect_language


@pytest.mark.parametrize(
    ("path", "goal"),
    [
        ("m.mjs", "module"),
        ("src/m.d.mts", "declaration"),
        ("m.d.ts", "declaration"),
        ("m.mts", "module"),
        ("M.MJS", "module"),
        ("m.cjs", "commonjs"),
        ("m.cts", "commonjs"),
        ("m.js", "any"),
        ("mjs", "any"),
        ("a.mjs/tool", "any"),
        ("setup.py", "any"),
    ],
)
def test_goal_of_a_script_by_its_name(path, goal):
    assert FACETS["script_goal"](path) == goal


def nothing() -> bytes:
    raise AssertionError("the name says it all")


@pytest.mark.parametrize(
    ("paths", "language"),
    [
        (
            "a.py UP.PY w.pyw s.wsgi a.pyi g.gyp g.gypi p.py3 SConstruct SConscript wscript",
            "python",
        ),
        ("a,b/x:y%z.py c:d/new\\nline.py p%q/#h?.py p%q/\udcff.py .pythonrc", "python"),
        ("a.js a.mjs a.cjs x.es6 x.es x.jsm Jakefile A.MJS a.min.js", "javascript"),
        ("a.jsx", "jsx"),
        ("a.ts a.mts a.cts a.d.ts a.D.TS a.d.css.ts", "typescript"),
        ("a.tsx", "tsx"),
        (
            "BUILD BUILD.bazel WORKSPACE WORKSPACE.bazel MODULE.bazel a.bzl a.star Tiltfile",
            "starlark",
        ),
        ("t.jsonc a.json5 a.code-workspace n.ipynb .jshintrc Pipfile.lock a.sarif a.jsonl", "json"),
        ("A.vue", "vue"),
        ("B.svelte", "svelte"),
        ("C.astro", "astro"),
        ("x.bat x.CMD", "batch"),
        ("a.csproj a.xaml a.plist pom.xml", "xml"),
        ("a.patch a.diff", "diff"),
        ("Makefile a.mk GNUmakefile", "make"),
        ("Jenkinsfile build.gradle", "groovy"),
    ],
)
def test_names(paths: str, language: str) -> None:
    for path in paths.split():
        assert detect_language(f"folder/{path}", nothing) == language, path


@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("#!/usr/bin/env -S node --no-warnings", "javascript"),
        ("#!/usr/bin/env python3.11", "python"),
        ("#!/usr/bin/python3", "python"),
        ("#! /usr/local/bin/pypy3.10 -u", "python"),
        ("#!/usr/bin/env -S uv run --script", "python"),
        ("#!/usr/bin/env -S -i PATH=/bin FOO=1 python3", "python"),
        ("#!/usr/bin/env -u PYTHONPATH -S python", "python"),
        ("#!/usr/bin/env -S npx --yes tsx", "typescript"),
        ("#!/usr/bin/env deno run", "typescript"),
        ("#!/bin/sh", "bash"),
        ("#!/bin/busybox ash", "text"),
        ("#!/usr/bin/env", "text"),
        ("#!", "text"),
        ("#!\npython", "text"),
        ("import os", "text"),
        ("a\0", "binary"),
    ],
)
@pytest.mark.parametrize("path", ["tool", "build", "install", "LICENSE", "a.unknown", ".hidden"])
def test_first_line(line: str, language: str, path: str) -> None:
    assert detect_language(path, f"{line}\nx\n".encode) == language


# What `identify` calls the languages that we treat, where it has other words for them.
WORDS = {
    "csv": {"csv", "tsv"},
    "gettext": {"pofile"},
    "ignore": {"dockerignore", "gitignore", "npmignore", "prettierignore"},
    "json": {"json", "json5", "map"},
    "python": {"python", "pyi", "scons"},
    "starlark": {"bazel", "tiltfile"},
    "typescript": {"ts"},
    "xml": {"xml", "plist"},
}
TREATED = DATA_LANGUAGES | {"python", "javascript", "jsx", "typescript", "tsx", "starlark"}


def test_identify_knows_no_other_file_of_the_languages_that_we_treat() -> None:
    identify = pytest.importorskip("identify.extensions")
    known = {f"a.{extension}": tags for extension, tags in identify.EXTENSIONS.items()}
    known |= identify.NAMES
    del known[".pdbrc"], known["a.xhtml"]  # commands of a debugger; rather HTML than XML
    wanted = {tag: language for language in TREATED for tag in WORDS.get(language, {language})}
    for path, tags in known.items():
        expected = {language for tag, language in wanted.items() if tag in tags}
        assert not expected or detect_language(path, lambda: b"text") in expected, path
