"""What a path means that is given to ask about files of a batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, Scanned, write_tree

import codebatch
from codebatch.model.errors import FilterInvalidError, PathNotInBatchError
from codebatch.query import paths

Main = Callable[..., Outcome]

FOLDER = ["pkg/sub/deep.py", "pkg/sub/other.py", "pkg/top.py"]
NAMES = [
    *("pkg/top.py", "pkg/sub/deep.py", "pkg/sub/other.py", "pkg2/x.py", "sub/same.py"),
    *("app/[id]/page.py", "app/i/page.py", "spaced name/n\u00e4.py"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    base = tmp_path_factory.mktemp("paths")
    files: dict[str, str | bytes] = {name: f"import os\nx = {name!r}\n" for name in NAMES}
    tree = write_tree(base / "tree", files)
    batch, report = codebatch.scan(tree, base / "store", tasks=["lint"], scheduler="sync")
    return Scanned(tree, codebatch.open_store(batch.path), batch, report)


@pytest.mark.parametrize(
    ("here", "path", "expected"),
    [
        (".", "pkg", FOLDER),
        (".", "./pkg/", FOLDER),
        ("..", "pkg", FOLDER),
        ("..", "./pkg", FOLDER),
        ("pkg/sub", "..", FOLDER),
        (".", "{tree}/pkg", FOLDER),
        (".", "pkg/*.py", FOLDER),
        (".", "pkg/sub/../top.py", ["pkg/top.py"]),
        ("pkg", "top.py", ["pkg/top.py"]),
        ("pkg", "./sub", ["pkg/sub/deep.py", "pkg/sub/other.py"]),
        ("pkg", "sub", ["sub/same.py"]),
        ("pkg", "sub/d*", ["pkg/sub/deep.py"]),
        (".", "app/[id]", ["app/[id]/page.py"]),
        (".", "app/[id]/page.py", ["app/[id]/page.py", "app/i/page.py"]),
        (".", "spaced name/n\u00e4.py", ["spaced name/n\u00e4.py"]),
        ("pkg/sub", ".", ["pkg/sub/deep.py", "pkg/sub/other.py"]),
        ("..", ".", sorted(NAMES)),
    ],
)
def test_path_is_a_folder_a_file_or_a_glob(
    here: str, path: str, expected: list[str], found: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(found.tree / here)
    rows = found.batch.files(path=path.format(tree=found.tree))
    assert sorted(str(row["path"]) for row in rows) == expected


def test_any_name_is_asked_for(store: codebatch.Store, tmp_path: Path) -> None:
    names = [
        *("d\udce9/caf\udce9.py", 'q"uote.py', "back\\slash.py"),
        *("new\nline.py", "a,b.py", "-x.py"),
    ]
    for number, name in enumerate(names):
        (tmp_path / "odd" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "odd" / name).write_text(f"x = {number}\n")
    batch = store.batch(store.snapshot(tmp_path / "odd"), tasks=["parse"])
    batch.run("sync")
    for name in (*names, "d\udce9/*"):
        found = [row["path"] for row in batch.files(path=name)]
        assert found == [name.replace("*", "caf\udce9.py")]
    for odd in ("new\nlime.py", "caf\udce9.py", "\x1b[31m"):
        with pytest.raises(PathNotInBatchError):
            batch.files(path=odd)


def test_tree_is_found_by_way_of_a_link(
    found: Scanned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(found.tree)
    rows = found.batch.files(path=tmp_path / "link/pkg/top.py")
    assert [row["path"] for row in rows] == ["pkg/top.py"]
    monkeypatch.chdir(tmp_path / "link/pkg")
    assert [row["path"] for row in found.batch.files(path="top.py")] == ["pkg/top.py"]


def test_tree_is_asked_about_where_the_current_folder_was_removed(
    found: Scanned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert [row["path"] for row in found.batch.files(path="pkg/top.py")] == ["pkg/top.py"]
    for path in ("top.py", "../pkg"):
        with pytest.raises(PathNotInBatchError):
            found.batch.files(path=path)


@pytest.mark.parametrize(
    "command",
    [
        *("errors", "files", "query outputs", "query diagnostics", "top", "export --format jsonl"),
        *("diff latest latest", "regressions latest latest", "improvements latest latest"),
    ],
)
def test_path_of_no_file_is_an_error_that_names_near_ones(
    command: str, found: Scanned, main: Main
) -> None:
    words = (*command.split(), "--store", found.path)
    assert main(*words, "--path", "pkg", "--path", "sub").code == 0
    done = main(*words, "--path", "pkg", "--path", "pgk/sub", *["--json"][: command[:3] != "exp"])
    assert done.code == 2
    if command[:3] == "exp":
        assert "did you mean pkg/sub?" in done.err
        return
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "PATH_NOT_IN_BATCH"
    assert error["hints"][0] == "did you mean pkg/sub?"
    assert error["details"]["candidates"][0] == "pkg/sub"


@pytest.mark.parametrize(
    ("here", "path", "near"),
    [
        (".", "same.py", ["sub/same.py"]),
        ("pkg", "tap.py", ["pkg/top.py"]),
        (".", "pgk/*.py", ["pkg/*.py"]),
        ("..", "sub/deep.*", ["*/sub/deep.*"]),
        (".", "pkg/sob/deeb.py", ["pkg/sub/deep.py"]),
        (".", "elsewhere", []),
        (".", "/etc", []),
        (".", "../..", []),
    ],
)
def test_near_names(
    here: str, path: str, near: list[str], found: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(found.tree / here)
    with pytest.raises(PathNotInBatchError) as raised:
        found.batch.outputs(path=path)
    assert raised.value.details["candidates"][:1] == near  # type: ignore[index]
    assert raised.value.hints


@pytest.mark.parametrize("path", ["__init__.py", "mod/*.txt"])
def test_of_very_many_near_names_few_are_compared(
    path: str, found: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"src/pkg{number:04}/mod/__init__.py" for number in range(2000)]
    monkeypatch.setattr(paths, "_paths", lambda _: iter(names))
    scored: list[str] = []
    patterns: list[str] = []
    likeness, pattern = paths._likeness, paths.path_pattern
    monkeypatch.setattr(
        paths, "_likeness", lambda one, texts: (scored.append(one), likeness(one, texts))[1]
    )
    monkeypatch.setattr(
        paths, "path_pattern", lambda texts: (patterns.extend(texts), pattern(texts))[1]
    )
    with pytest.raises(PathNotInBatchError) as raised:
        found.batch.files(path=path)
    assert len(scored) < 100
    assert len(patterns) < 100
    if path == "__init__.py":
        expected = [f"src/pkg000{number}/mod/__init__.py" for number in range(5)]
        assert raised.value.details["candidates"] == expected


@pytest.mark.parametrize("path", ["", ["pkg", ""], "a\0b"])
def test_empty_path_is_refused(path: str | list[str], found: Scanned) -> None:
    with pytest.raises(FilterInvalidError):
        found.batch.files(path=path)


def test_language_of_no_file_names_those_there_are(found: Scanned, main: Main) -> None:
    done = main("errors", "--language", "typescript", "--store", found.path)
    assert done.code == 2
    assert "languages of this batch: python\n" in done.err


def test_one_shard_is_enough_to_know_a_folder(
    found: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = type(found.batch.directory.batches)
    read: list[str] = []
    whole = batches.read_shard_inputs

    def counted(self: object, batch_id: str, shard: object) -> bytes:
        read.append(batch_id)
        return whole(self, batch_id, shard)  # type: ignore[arg-type]

    monkeypatch.setattr(batches, "read_shard_inputs", counted)
    plan = found.batch.load_status().plan
    assert len(plan.shards) > 1
    found.batch.outputs(path="*.py")
    assert len(read) == 1


def test_file_is_named_from_here(
    found: Scanned, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(found.tree / "pkg")
    store = ("--store", found.path, "--json")
    assert json.loads(main("inspect", "./sub/deep.py", *store).stdout)["path"] == "pkg/sub/deep.py"
    explained = main("explain", "--task", "lint", "--file", "./top.py", *store)
    assert json.loads(explained.stdout)["path"] == "pkg/top.py"
