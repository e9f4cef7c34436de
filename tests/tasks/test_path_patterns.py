"""Regular expressions of paths as globs: they match what the expressions are found in."""

from __future__ import annotations

import re

import pytest

from codebatch.model.globs import GlobTable
from codebatch.tasks.tools.imports.patterns import globs_of

PATHS = (
    *("a.py", "a.pyi", "src/a.py", "src/b/c.py", "tests/a.py", "x/tests/d/e.py", "docs/a.md"),
    *("docs/b/c.md", "docsx/a.md", "Makefile", "b/Makefile", "Makefile.am", "requirements.txt"),
    *("requirements-dev.txt", "a/requirements/dev.txt", ".github/workflows/ci.yaml"),
    *("x.github/workflows/a/ci.yaml.in", "setup.py", "a/setup.py", "src", "src.c", "a[1].py"),
    *("a b/c.txt", "vendor/a/b.js", "vendored.js", "tests/fixtures/a", "tests/fixtures2/b/c"),
)


def matched(globs: list[str]) -> set[str]:
    names, paths = (GlobTable(is_path=is_path, fold=False) for is_path in (False, True))
    for number, glob in enumerate(globs):
        table = paths if "/" in glob else names
        table.add(glob.removeprefix("/").encode(), number)
    return {
        path
        for path in PATHS
        if names.best(path.rsplit("/", 1)[-1].encode()) >= 0 or paths.best(path.encode()) >= 0
    }


@pytest.mark.parametrize(
    "expression",
    [
        *(r"^docs/.*\.md$", r"\.py$", r"^src/", r"^(src|tests)/.*\.pyi?$", r"(^|/)tests/.+\.py$"),
        *(r"(?:^|/)Makefile$", r"^tests/fixtures|^vendor", r"requirements.*\.txt$", "src"),
        *(r".github/workflows/.+\.yaml", r"^setup\.py$", r"^[^/]+\.py$", r"a\[1\]", r"^docs.*"),
        "(?x)^(\n  src/.* |\n  docs/a\\.md\n)$",
    ],
)
def test_globs_match_what_the_expression_is_found_in(expression: str) -> None:
    globs = globs_of(expression)
    assert globs
    found = {path for path in PATHS if re.search(expression, path)}
    assert found
    assert matched(globs) == found


@pytest.mark.parametrize("expression", ["", ".*", "^.*$", ".+"])
def test_what_is_found_in_every_path_needs_no_globs(expression: str) -> None:
    assert globs_of(expression) == []


@pytest.mark.parametrize(
    "expression",
    [
        *("^$", "(?i)a", "a{2}", "[ab]", "^(?!x)", "(a", "a)", "a*", r"\d", "a^b", "(a|b)" * 12),
        r"(.*(a|b|c)){9}",
        *("(" * 3_000, "(" * 60 + "a" + ")" * 60, "a" * 2_001, "^" + ".*a" * 600),
    ],
)
def test_other_expressions_are_refused(expression: str) -> None:
    assert globs_of(expression) is None
