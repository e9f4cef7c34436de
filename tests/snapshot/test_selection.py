"""What is taken of a tree of which folders, files or patterns are named."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import Outcome, write_tree
from repositories import git_init, without_own_settings

import codebatch
from codebatch.model.errors import SourceNotFoundError, UsageError

Cli = Callable[..., Outcome]
SETTLING_SECONDS = 0.15  # until a status is evidence

FILES: dict[str, str | bytes] = {
    "app.py": "a",
    "src/a.py": "b",
    "src/deep/b.py": "c",
    "src/deep/c.ts": "d",
    "src/local.log": "e",
    "tests/test_a.py": "f",
    "tests/data/x.json": "{}",
    "out/made.py": "g",
    "out/lib/made.log": "h",
    "docs/index.md": "i",
    ".gitignore": "*.log\nout/\n",
    "src/.gitignore": "local*\n",
}


DEEP = ["src/deep/b.py", "src/deep/c.ts"]


@pytest.fixture(autouse=True)
def _own_git_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)


@pytest.fixture(params=["with git", "without git"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree that is the current folder."""
    tree = write_tree(tmp_path / "tree", FILES)
    if request.param == "with git":
        git_init(tree)
    monkeypatch.chdir(tree)
    return tree


def taken(store: codebatch.Store, *names: str, **options: Sequence[str]) -> list[str]:
    return [file.path for file in store.snapshot(list(names), **options).files]  # type: ignore[arg-type]


def skipped(snapshot: codebatch.Snapshot) -> dict[str, str]:
    assert snapshot.taken is not None
    return {file.path: file.reason for file in snapshot.taken.skipped}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["app.py"], ["app.py"]),
        (["./src", "app.py"], ["app.py", "src/.gitignore", "src/a.py", *DEEP]),
        (["src/deep", "tests/data"], [*DEEP, "tests/data/x.json"]),
        (["src/deep", "src/deep/b.py"], DEEP),
        (["src/a.py", "src/local.log"], ["src/a.py", "src/local.log"]),
        (["src/deep", "out"], ["out/made.py", *DEEP]),
        (["app.py", "out/lib/made.log"], ["app.py", "out/lib/made.log"]),
    ],
)
def test_only_what_is_named_is_taken(
    names: list[str], expected: list[str], root: Path, store: codebatch.Store
) -> None:
    ids = {store.snapshot(order).id for order in itertools.permutations([*names, names[0]])}
    assert len(ids) == 1
    assert taken(store, *names) == expected
    absolute = [str(root / name) for name in names]
    assert taken(store, *absolute) == expected


def test_one_directory_is_the_tree(root: Path, store: codebatch.Store) -> None:
    assert taken(store, "src/deep") == ["b.py", "c.ts"] == taken(store, "src/deep", "src/deep/")


def test_whole_tree_and_an_ignored_file(root: Path, store: codebatch.Store) -> None:
    more = store.snapshot([".", "src/local.log"])
    assert {file.path for file in more.files} == {*taken(store, "."), "src/local.log"}
    assert skipped(more)["out"] == "ignored"


def test_root_is_the_nearest_folder_that_holds_all(
    root: Path, store: codebatch.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    named = [root / "src/deep/b.py", root / "src/a.py"]
    assert taken(store, *map(str, named)) == ["a.py", "deep/b.py"]
    assert store.show(store.snapshot(named).id)["source"] == str(root / "src")


@pytest.mark.parametrize("name", ["no.py", "src/no", "link/a.py", "pipe", ""])
def test_what_is_not_there_is_named_before_anything_is_stored(
    name: str, root: Path, tmp_path: Path, cli: Cli
) -> None:
    (root / "link").symlink_to("src")
    os.mkfifo(root / "pipe")
    done = cli("scan", "src", name, "--store", tmp_path / "new")
    assert done.code == 2
    assert name in done.err
    assert not (tmp_path / "new").exists()


def test_named_link_is_an_entry_and_not_followed(
    root: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    write_tree(tmp_path / "secret", {"key": "k"})
    (root / "link").symlink_to(tmp_path / "secret")
    found = store.snapshot(["app.py", "link"]).files
    assert [(file.path, file.mode) for file in found] == [("app.py", "100644"), ("link", "120000")]


def test_any_name_is_named(tmp_path: Path, store: codebatch.Store) -> None:
    names = ["d\udce9/caf\udce9", 'q"uote', "back\\slash", "new\nline", "-x", "#x", "!x", "*"]
    for name in names:
        (tmp_path / "odd" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "odd" / name).write_text(name.encode("ascii", "backslashreplace").decode())
    chosen = [tmp_path / "odd" / name for name in names[1:]]
    found = store.snapshot([tmp_path / "odd" / "d\udce9", *chosen])
    assert sorted(file.path for file in found.files) == sorted(names)
    left = store.snapshot(tmp_path / "odd", exclude=["d\udce9/", "#x", "\\!x", "\\*"])
    assert {*skipped(left)} == {"d\udce9", "#x", "!x", "*"}


def test_store_is_no_source_where_it_is_named(root: Path) -> None:
    store = codebatch.open_store(root / "kept", create=True)
    found = store.snapshot(["app.py", "kept"])
    assert [file.path for file in found.files] == ["app.py"]
    assert skipped(found) == {"kept": "codebatch store"}


@pytest.mark.parametrize("root", ["with git"], indirect=True)
@pytest.mark.parametrize("names", [["app.py", ".git"], ["app.py", ".git/config", ".git/hooks"]])
def test_git_metadata_is_left_out_where_it_is_named(
    names: list[str], root: Path, store: codebatch.Store
) -> None:
    (root / ".git/hooks").mkdir(exist_ok=True)
    found = store.snapshot(names)
    assert [file.path for file in found.files] == ["app.py"]
    assert skipped(found) == {".git": "git metadata"}
    whole = {file.path for file in store.snapshot(names, ignore=False).files}
    assert {"app.py", ".git/config"} <= whole


@pytest.mark.parametrize("root", ["with git"], indirect=True)
@pytest.mark.parametrize("names", [[".git/config"], [".git/config", ".git/HEAD"]])
def test_nothing_but_git_metadata_is_an_error(
    names: list[str], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, main: Cli
) -> None:
    paths = [root / name for name in names]
    made = codebatch.open_store(tmp_path / "made", create=True).path
    for folder in (root, tmp_path):
        monkeypatch.chdir(folder)
        for command, store in (("scan", tmp_path / "new"), ("snapshot", made)):
            done = main(command, *paths, "--store", store)
            assert done.code == 2
            assert f"error: {min(paths)} is git metadata, which is left out\n" in done.err
    assert not (tmp_path / "new").exists()
    assert main("snapshot", *paths, "--no-ignore", "--store", made).code == 0


@pytest.mark.parametrize("root", ["with git"], indirect=True)
def test_git_folder_may_be_the_tree(
    root: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "config" in taken(store, ".git")
    monkeypatch.chdir(root / ".git")
    assert taken(store, "config", "HEAD") == ["HEAD", "config"]


def test_partial_tree_is_never_taken_for_the_whole(root: Path, store: codebatch.Store) -> None:
    choices: list[tuple[list[str], dict[str, list[str]]]] = [
        ([".", "src/local.log"], {}),
        (["."], {}),
        (["src", "app.py"], {}),
        (["src/a.py", "app.py"], {}),
        (["."], {"exclude": ["tests/"]}),
        (["."], {"include": ["tests/"]}),
    ]
    expected = [taken(store, *names, **options) for names, options in choices]
    assert len(set(map(tuple, expected))) == len(choices)
    time.sleep(SETTLING_SECONDS)
    for _ in range(2):  # known from the second time on
        assert [taken(store, *names, **options) for names, options in choices] == expected
    write_tree(root, {"src/deep/new.py": "n", "new.py": "n", "app.py": "other"})
    others = [codebatch.open_store(root.parent / "other", create=True).snapshot(names, **options)  # type: ignore[arg-type]
              for names, options in choices]  # fmt: skip
    again = [store.snapshot(names, **options) for names, options in choices]  # type: ignore[arg-type]
    assert [one.id for one in again] == [one.id for one in others]


def test_exclude_means_what_an_ignore_file_says(root: Path, store: codebatch.Store) -> None:
    patterns = ["/tests/", "*.ts", "!c.ts", "#x", "src/**/b.*", "docs"]
    excluded = store.snapshot(".", exclude=patterns)
    lines = "\n".join(patterns).replace("#", "\\#")
    write_tree(root, {".codebatchignore": lines + "\n.codebatchignore\n"})
    ignored = store.snapshot(".")
    assert excluded.id == ignored.id
    reasons = skipped(excluded)
    assert {path for path, reason in reasons.items() if reason == "excluded"} == {
        *("tests", "src/deep/b.py", "docs")
    }
    assert set(skipped(ignored)) == {*reasons, ".codebatchignore"}


def test_exclude_holds_without_ignore_files_and_for_what_is_named(
    root: Path, store: codebatch.Store
) -> None:
    found = store.snapshot(["src", "app.py"], exclude=["deep", "app.py"], ignore=False)
    assert [file.path for file in found.files] == ["src/.gitignore", "src/a.py", "src/local.log"]
    assert skipped(found) == {"app.py": "excluded", "src/deep": "excluded"}


def test_include_takes_only_what_matches(root: Path, store: codebatch.Store) -> None:
    found = store.snapshot(".", include=["*.py", "tests/"], exclude=["test_*"])
    assert [file.path for file in found.files] == [
        *("app.py", "src/a.py", "src/deep/b.py", "tests/data/x.json")
    ]
    reasons = skipped(found)
    reasons.pop(".git", None)
    assert reasons == {
        ".gitignore": "not included",
        "docs": "not included",
        "out": "ignored",
        "src/.gitignore": "not included",
        "src/deep/c.ts": "not included",
        "src/local.log": "ignored",
        "tests/test_a.py": "excluded",
    }


@pytest.mark.parametrize("pattern", ["", " ", "a\nb", "a\0b"])
def test_what_is_no_pattern_is_refused(pattern: str, root: Path, store: codebatch.Store) -> None:
    for options in ({"include": [pattern]}, {"exclude": [pattern]}):
        with pytest.raises(UsageError):
            store.snapshot(".", **options)  # type: ignore[arg-type]
    with pytest.raises(SourceNotFoundError):
        store.snapshot([])


def test_commands_take_several_and_patterns(root: Path, tmp_path: Path, cli: Cli) -> None:
    words = ("src", "tests", "app.py", "--exclude", "data/", "--exclude", "*.ts", "--json")
    store = ("--store", tmp_path / "new")
    scanned = json.loads(cli("scan", *words, "--task", "parse", *store).stdout)
    document = json.loads(cli("snapshot", *words, *store).stdout)
    assert document["snapshot_id"] == scanned["snapshot_id"]
    assert document["file_count"] == 5
    assert {row["reason"] for row in document["skipped"]} == {"excluded", "ignored"}
