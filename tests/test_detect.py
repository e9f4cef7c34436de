"""Languages and facets of paths."""

from __future__ import annotations

import pytest

from codebatch.tasks.languages.detect import FACETS


@pytest.mark.parametrize(
    ("path", "goal"),
    [
        ("m.mjs", "module"),
        ("src/m.d.mts", "module"),
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
