"""A second machine checks a pull request with what the first one has computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import run_cli, write_tree
from repositories import git, git_init, without_own_settings
from webremote import serving

import codebatch

TASKS = 4
MODULES = {f"pkg/m{number}.py": f"import os\nvalue = {number}\n" for number in range(6)}
FILES = len(MODULES)


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work tree on a branch that adds a finding in one file of ``main``."""
    without_own_settings(tmp_path / "home", monkeypatch)
    tree = write_tree(tmp_path / "tree", MODULES)
    git_init(tree, options=("-b", "main"))
    git(tree, "checkout", "-q", "-b", "change")
    write_tree(tree, {"pkg/m0.py": "import os\nimport re\nvalue = 0\n"})
    git(tree, "commit", "-q", "-a", "-m", "change")
    return tree


def computed(store: codebatch.Store, batch_id: str) -> int:
    """How many results of a batch were computed for it."""
    states = store.find_batch(batch_id).load_status().states
    return sum(state.computed for shards in states.values() for state in shards.values() if state)


def check(tree: Path, folder: Path, memo: object) -> tuple[int, int, list[object]]:
    """Check in a store; how many results of base and head were computed, and what is new."""
    store = codebatch.open_store(folder, create=True)
    report = store.check(tree, base="main", scheduler="sync", memo=memo)
    assert report.base is not None
    new = [(one.record["path"], one.record["code"]) for one in report.new]
    return computed(store, report.base), computed(store, report.head), new


def test_a_second_machine_computes_only_what_is_new(request_: Path, tmp_path: Path) -> None:
    memo = tmp_path / "remote"
    new = [("pkg/m0.py", "L101")]
    assert check(request_, tmp_path / "first", memo) == (FILES * TASKS, TASKS, new)
    assert check(request_, tmp_path / "second", memo) == (0, 0, new)
    write_tree(request_, {"pkg/m1.py": "import io\nvalue = 1\n"})
    more = [*new, ("pkg/m1.py", "L101")]
    base, head, found = check(request_, tmp_path / "third", memo)
    assert (base, head, sorted(map(str, found))) == (0, TASKS, sorted(map(str, more)))


@pytest.mark.parametrize("strikes", ["GET /team/index", "GET /team/pack", "PUT /team/pack"])
def test_a_remote_that_is_cut_in_the_middle(request_: Path, tmp_path: Path, strikes: str) -> None:
    new = [("pkg/m0.py", "L101")]
    with serving() as web:
        memo = f"{web.url}/team"
        check(request_, tmp_path / "first", memo)
        web.fault, web.strikes = "500" if strikes.startswith("PUT") else "cut", strikes
        write_tree(request_, {"pkg/m2.py": "value = 3\n"})
        assert check(request_, tmp_path / "second", memo)[2] == new


def test_on_the_command_line(request_: Path, tmp_path: Path) -> None:
    words = ("check", request_, "--base", "main", "--memo", tmp_path / "remote", "--json")
    first = run_cli(*words, "--store", tmp_path / "a")
    assert first.code == 1
    (tmp_path / "remote" / "index").write_bytes(b"damaged")
    second = run_cli(*words, "--store", tmp_path / "b")
    assert second.code == 1
    assert json.loads(first.out) == json.loads(second.out)
    assert "the index of the remote is damaged" in second.err
