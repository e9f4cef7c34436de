"""Snapshots of revisions and of what is staged: they are those of checkouts that git makes."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, write_tree
from repositories import NAMES, generated_pattern, git, git_init, without_own_settings

import codebatch
from codebatch.model.errors import (
    NotFetchedError,
    NothingStagedError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    SourceNotFoundError,
    UsageError,
)
from codebatch.snapshot.git.history import open_history
from codebatch.snapshot.git.staged import staged_trees


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)


def commit_all(root: Path, message: str = "all") -> None:
    git(root, "add", "-A", "-f")
    git(root, "commit", "-q", "--allow-empty", "-m", message)


def checkout(root: Path, rev: str = "HEAD") -> Path:
    """A clean checkout of a revision, made by git."""
    target = root.parent / f"checkout{len(list(root.parent.glob('checkout*')))}"
    git(root.parent, "clone", "-q", "--no-checkout", str(root), str(target))
    git(target, "-c", "core.autocrlf=false", "checkout", "-q", git(root, "rev-parse", rev).strip())
    return target


def listed(snapshot: codebatch.Snapshot) -> list[tuple[object, ...]]:
    return [tuple(file) for file in snapshot.files]


def skipped(snapshot: codebatch.Snapshot) -> dict[str, str]:
    assert snapshot.taken is not None
    return {file.path: file.reason for file in snapshot.taken.skipped}


def assert_equal(store: codebatch.Store, root: Path, rev: str = "HEAD", **options: object) -> None:
    """The snapshot of a revision is that of its checkout, and again so when it is known."""
    expected = store.snapshot(checkout(root, rev), **options)  # type: ignore[arg-type]
    for use_cache in (False, True, True):
        found = store.snapshot(root, rev=rev, use_cache=use_cache, **options)  # type: ignore[arg-type]
        assert listed(found) == listed(expected)
        assert found.id == expected.id


ODD = {
    "plain.py": "x = 1\n",
    "dir/a": "1",
    "dir-b": "2",
    "dir.c": "3",
    "dir/sub/deep.py": "deep",
    "with space/ü\n.py": "odd",
    ".gitignore": "ignored\nbuild/\n",
    "ignored": "tracked all the same",
    "build/out.py": "built",
    ".codebatchignore": "generated/\n!keep.py\n*.min.js\n",
    "generated/x.py": "x",
    "a.min.js": "js",
    "sub/.codebatchignore": "*.py\n",
    "sub/x.py": "x",
    "sub/x.txt": "x",
    "empty": "",
}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    root = write_tree(tmp_path / "work", ODD)
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("dir/a")
    (root / "dangling").symlink_to("nowhere/\udcff")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe.py")).write_text("bytes")
    git_init(root, add=False, options=("-b", "main"))
    commit_all(root)
    return root


@pytest.mark.parametrize("packed", [False, True])
def test_a_revision_is_its_checkout(work: Path, store: codebatch.Store, packed: bool) -> None:
    write_tree(work, {"plain.py": "x = 2\n", "sub/y.txt": "y", "unstaged/new.py": "new"})
    commit_all(work, "second")
    git(work, "rm", "-q", "-r", "sub")
    commit_all(work, "third")
    if packed:
        git(work, "gc", "-q", "--aggressive", "--prune=now")
    (work / "plain.py").write_text("not committed")
    for rev in ("HEAD", "HEAD~1", "main~2", "HEAD"):
        assert_equal(store, work, rev)
    taken = store.snapshot(work, rev="main~1").taken
    assert taken is not None
    assert taken.commit == git(work, "rev-parse", "HEAD~1").decode().strip()
    assert skipped(store.snapshot(work, rev="HEAD")) == {
        "generated": "ignored",
        "a.min.js": "ignored",
    }


@pytest.mark.parametrize(
    "options",
    [
        {"exclude": ["*.py", "/dir/"]},
        {"include": ["*.py"]},
        {"include": ["dir/**"], "exclude": ["a"]},
        {"ignore": False, "exclude": [".git/"]},
        {"max_file_bytes": 3},
    ],
    ids=str,
)
def test_what_is_selected_is_selected_in_a_revision(
    work: Path, store: codebatch.Store, options: dict[str, object]
) -> None:
    assert_equal(store, work, **options)
    expected = skipped(store.snapshot(checkout(work), **options))  # type: ignore[arg-type]
    expected.pop(".git", None)
    for _ in range(2):
        assert skipped(store.snapshot(work, rev="HEAD", **options)) == expected  # type: ignore[arg-type]


def test_a_folder_of_a_revision_and_single_files(work: Path, store: codebatch.Store) -> None:
    clean = checkout(work)
    for folder in ("dir", "sub", "with space", "dir/sub"):
        expected = store.snapshot(clean / folder)
        assert store.snapshot(work / folder, rev="HEAD").id == expected.id
    parts = ["dir/a", "generated", "plain.py"]
    expected = store.snapshot([clean / part for part in parts])
    assert store.snapshot([work / part for part in parts], rev="HEAD").id == expected.id
    write_tree(work, {"new/x.py": "x"})
    with pytest.raises(SourceNotFoundError, match="there is no folder new in HEAD"):
        store.snapshot(work / "new", rev="HEAD")


def test_a_folder_that_is_gone_or_of_a_bare_repository(
    work: Path, store: codebatch.Store, tmp_path: Path, main: Callable[..., Outcome]
) -> None:
    write_tree(work, {"gone/inner/x.py": "x = 1\n"})
    git(work, "add", "gone")
    git(work, "commit", "-q", "-m", "gone")
    expected = store.snapshot(work / "gone/inner").id
    shutil.rmtree(work / "gone")
    assert store.snapshot(work / "gone/inner", rev="HEAD").id == expected
    assert store.snapshot(work / "gone/inner", staged=True).id == expected
    git(tmp_path, "clone", "-q", "--bare", str(work), str(tmp_path / "b.git"))
    outcome = main(
        "snapshot", tmp_path / "b.git/gone/inner", "--rev", "HEAD", "--store", store.path
    )
    assert expected in outcome.out, outcome.err
    for name in ("nope", "gone/inner/x.py"):
        with pytest.raises(SourceNotFoundError, match=f"there is no folder {name} in HEAD"):
            store.snapshot(work / name, rev="HEAD")


def test_a_bare_repository_and_a_linked_work_tree(work: Path, store: codebatch.Store) -> None:
    expected = store.snapshot(checkout(work)).id
    bare = work.parent / "bare.git"
    git(work.parent, "clone", "-q", "--bare", str(work), str(bare))
    assert store.snapshot(bare, rev="main").id == expected
    git(work, "worktree", "add", "-q", "--detach", str(work.parent / "linked"))
    assert store.snapshot(work.parent / "linked", rev="HEAD").id == expected
    with pytest.raises(NothingStagedError, match="bare repository"):
        store.snapshot(bare, staged=True)


ATTRIBUTES = {
    ".gitattributes": (
        "* text=auto\n*.txt text eol=crlf\n*.auto text=auto eol=crlf\n*.bin binary eol=crlf\n"
        '"q t.x" eol=crlf\n*.id ident eol=lf\n/only.top eol=crlf\n[attr]win text eol=crlf\n'
        "*.win win\n*.w16 text working-tree-encoding=UTF-16\n*.le working-tree-encoding=UTF-16LE\n"
        "*.l1 working-tree-encoding=ISO-8859-1 eol=crlf\nsub/*.path eol=crlf\n"
        "sub/** export-ignore\n"
        "*.old crlf=input\n*.older -crlf eol=crlf\n**/deep/*.z eol=crlf\ndir/ eol=crlf\n"
    ),
    "sub/.gitattributes": "*.txt !eol\n*.auto -text\n*.win -win\n",
    **{
        f"{folder}{name}": content
        for folder in ("", "sub/", "sub/deep/")
        for name, content in {
            "a.txt": "a\nb\n",
            "b.txt": "a\r\nb\n",
            "lf.auto": "a\nb\n",
            "one.auto": "\0a\nb\n",
            "odd.auto": "\x01" * 5 + "a" * 639 + "\n",
            "even.auto": "\x01" * 5 + "a" * 640 + "\n",
            "end.auto": "a\n\x1a",
            "cr.auto": "a\rb\n",
            "x.bin": "a\nb\n",
            "q t.x": "a\nb\n",
            "k.id": "$Id$ $Id: x y z $ $Id: 1234 $ $Id$Id$\n$Id: broken\n$",
            "only.top": "a\nb\n",
            "x.win": "a\nb\n",
            "t.path": "a\nb\n",
            "o.old": "a\nb\n",
            "o.older": "a\nb\n",
            "p.z": "a\n",
        }.items()
    },
}


def test_what_attributes_convert_is_converted(tmp_path: Path, store: codebatch.Store) -> None:
    root = tmp_path / "work"
    for path, content in ATTRIBUTES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.encode())
    (root / "u.w16").write_bytes("ä\n€".encode("utf-16"))
    (root / "u.le").write_bytes("ä\n€".encode("utf-16-le"))
    (root / "u.l1").write_bytes("ä\r\n".encode("latin-1"))
    (root / "empty.w16").write_bytes(b"")
    (root / "l.txt").symlink_to("a.txt")
    git_init(root, add=False)
    commit_all(root)
    assert_equal(store, root)
    expected = store.snapshot(checkout(root) / "sub").id
    assert store.snapshot(root / "sub", rev="HEAD").id == expected


def test_filters_are_not_run_and_what_they_would_write_is_skipped(
    tmp_path: Path, store: codebatch.Store
) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1\n"
    root = write_tree(
        tmp_path / "work",
        {
            ".gitattributes": "*.lfs filter=lfs -text\n*.x filter=evil\nno.x -filter\n"
            "*.enc working-tree-encoding=EUC-KR\n",
            "big.lfs": pointer,
            "small.lfs": "not a pointer\n",
            "a.x": "x\n",
            "no.x": "x\n",
            "k.enc": "x\n",
            "plain": pointer,
        },
    )
    git_init(root)
    mark = tmp_path / "ran"
    git(root, "config", "filter.evil.smudge", f"touch {mark}")
    git(root, "config", "core.fsmonitor", f"touch {mark}")
    found = store.snapshot(root, rev="HEAD")
    assert {file.path for file in found.files} == {".gitattributes", "small.lfs", "no.x", "plain"}
    assert skipped(found) == {
        "big.lfs": "Git LFS pointer",
        "a.x": "a filter of git would be run: evil",
        "k.enc": "a working-tree-encoding that is not known: EUC-KR",
    }
    assert not mark.exists()


def test_submodules_and_stores_are_listed(tmp_path: Path, store: codebatch.Store) -> None:
    inner = write_tree(tmp_path / "inner", {"i.py": "i"})
    git_init(inner)
    root = write_tree(tmp_path / "work", {"a.py": "a"})
    git_init(root)
    git(root, "submodule", "--quiet", "add", str(inner), "mod")
    made = codebatch.open_store(root / "pkg/kept", create=True)
    made.snapshot(root / "a.py")
    commit_all(root)
    found = store.snapshot(root, rev="HEAD")
    assert skipped(found) == {"mod": "git submodule", "pkg/kept": "codebatch store"}
    assert found.id == store.snapshot(checkout(root)).id


@pytest.mark.slow
def test_large_files_are_read_in_portions(tmp_path: Path, store: codebatch.Store) -> None:
    root = write_tree(tmp_path / "work", {"a.py": "a"})
    (root / "noise").write_bytes(random.Random(1).randbytes(2**12) * 2200)
    (root / "zeros").write_bytes(bytes(33 * 2**20))
    git_init(root)
    (root / "noise").write_bytes(b"x" + (root / "noise").read_bytes())
    git(root, "commit", "-qam", "more")
    expected = {rev: store.snapshot(checkout(root, rev)).id for rev in ("HEAD", "HEAD~1")}
    assert store.snapshot(root, rev="HEAD", use_cache=False).id == expected["HEAD"]
    git(root, "gc", "-q", "--prune=now")  # one is a delta of the other by now
    assert {rev: store.snapshot(root, rev=rev).id for rev in expected} == expected


# -- what is staged ------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_what_is_staged_is_what_git_would_commit(
    work: Path, store: codebatch.Store, version: str
) -> None:
    git(work, "config", "index.version", version)
    write_tree(work, {"plain.py": "staged\n", "new/file.py": "new\n", "later.py": "later\n"})
    git(work, "add", "plain.py", "new")
    git(work, "rm", "-q", "--cached", "dir/a")
    git(work, "add", "--intent-to-add", "later.py")
    if version == "4":
        git(work, "update-index", "--split-index")
    (work / "plain.py").write_text("not staged\n")
    tree = git(work, "write-tree").decode().strip()
    with open_history(os.fsencode(work)) as history:
        assert staged_trees(history)[0].hex() == tree
    found = store.snapshot(work, staged=True)
    git(work, "commit", "-q", "-m", "staged")
    assert found.id == store.snapshot(work, rev="HEAD").id
    assert found.id == store.snapshot(checkout(work)).id
    assert found.taken is not None
    assert found.taken.branch == "main"


def test_what_is_staged_with_a_sparse_index(work: Path, store: codebatch.Store) -> None:
    sparse = checkout(work)
    git(sparse, "sparse-checkout", "set", "--cone", "--sparse-index", "dir/sub")
    (sparse / "dir/sub/deep.py").write_text("staged\n")
    git(sparse, "add", "dir/sub/deep.py")
    tree = git(sparse, "write-tree").decode().strip()
    with open_history(os.fsencode(sparse)) as history:
        assert staged_trees(history)[0].hex() == tree
    assert "sub/x.txt" in {file.path for file in store.snapshot(sparse, staged=True).files}


def test_a_repository_of_other_hashes(tmp_path: Path, store: codebatch.Store) -> None:
    root = write_tree(tmp_path / "work", ODD)
    git_init(root, add=False, options=("--object-format=sha256",))
    commit_all(root)
    write_tree(root, {"dir/a": "2"})
    commit_all(root)
    assert_equal(store, root)
    git(root, "gc", "-q", "--prune=now")
    assert_equal(store, root, "HEAD~1")
    assert store.snapshot(root, staged=True).id == store.snapshot(root, rev="HEAD").id
    assert store.find_snapshot("latest").id


@pytest.mark.parametrize("words", [("-a",), ("--", "plain.py")], ids=["all", "one file"])
def test_a_hook_sees_what_is_about_to_be_committed(
    work: Path, store: codebatch.Store, tmp_path: Path, words: tuple[str, ...]
) -> None:
    write_tree(work, {"plain.py": "changed\n", "dir/a": "changed\n", "new.py": "new\n"})
    git(work, "add", "new.py")
    command = shlex.join([sys.executable, "-m", "codebatch", "snapshot", "."])
    taken = tmp_path / "taken"
    hook = work / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{command} --staged --quiet --store {store.path} > {taken}\n")
    hook.chmod(0o755)
    git(work, "commit", "-q", "-m", "with a hook", *words)
    assert taken.read_text().strip() == store.snapshot(work, rev="HEAD").id


def test_nothing_is_taken_of_a_conflict(work: Path, store: codebatch.Store) -> None:
    git(work, "switch", "-q", "-c", "other")
    (work / "plain.py").write_text("other\n")
    git(work, "commit", "-qam", "other")
    git(work, "switch", "-q", "main")
    (work / "plain.py").write_text("main\n")
    git(work, "commit", "-qam", "main")
    with pytest.raises(Exception, match="returned non-zero"):
        git(work, "merge", "-q", "other")
    with pytest.raises(NothingStagedError, match=r"not merged yet: plain\.py"):
        store.snapshot(work, staged=True)
    (work / "plain.py").write_text("both\n")
    git(work, "add", "plain.py")
    assert store.snapshot(work, staged=True).id


def test_an_index_of_nothing(tmp_path: Path, store: codebatch.Store) -> None:
    root = write_tree(tmp_path / "work", {"a.py": "a"})
    git_init(root, add=False)
    taken = store.snapshot(root, staged=True).taken
    assert taken is not None
    assert taken.file_count == 0


# -- what is not there ---------------------------------------------------------------------------


def test_what_names_no_tree_is_an_error(work: Path, store: codebatch.Store, tmp_path: Path) -> None:
    with pytest.raises(RevisionNotFoundError, match="no commit nope"):
        store.snapshot(work, rev="nope")
    with pytest.raises(UsageError, match="two trees"):
        store.snapshot(work, rev="HEAD", staged=True)
    plain = write_tree(tmp_path / "plain", {"a.py": "a"})
    with pytest.raises(RepositoryNotFoundError, match="no git repository"):
        store.snapshot(plain, rev="HEAD")
    with pytest.raises(RepositoryNotFoundError):
        store.snapshot(plain, staged=True)


def test_what_was_not_fetched_is_an_error(work: Path, store: codebatch.Store) -> None:
    git(work, "config", "uploadpack.allowFilter", "true")
    (work / "plain.py").write_text("newer\n")
    git(work, "commit", "-qam", "newer")
    partial = work.parent / "partial"
    git(work.parent, "clone", "-q", "--filter=blob:none", f"file://{work}", str(partial))
    assert store.snapshot(partial, rev="HEAD").id == store.snapshot(work, rev="HEAD").id
    (partial / ".git/index").unlink()
    fresh = codebatch.open_store(work.parent / "fresh", create=True)
    with pytest.raises(NotFetchedError, match=r"plain\.py is missing"):
        fresh.snapshot(partial, rev="HEAD~1")
    shared = work.parent / "shared"
    git(work.parent, "clone", "-q", "--shared", str(work), str(shared))
    with pytest.raises((NotFetchedError, RevisionNotFoundError)):
        fresh.snapshot(shared, rev="HEAD")


def test_objects_that_are_shared_within_the_tree_are_read(
    work: Path, store: codebatch.Store
) -> None:
    shutil.move(work / ".git/objects", work / "kept")
    (work / ".git/objects/info").mkdir(parents=True)
    (work / ".git/objects/info/alternates").write_text("../../kept\n")
    assert store.snapshot(work, rev="HEAD").id == store.snapshot(checkout(work)).id


# -- generated trees -----------------------------------------------------------------------------


def change(root: Path, dice: random.Random) -> None:
    """Write, move and remove some files, links, modes and rules."""
    folders = [os.fsencode(root)]
    for folder, inner, _ in os.walk(os.fsencode(root)):
        inner[:] = [name for name in inner if name != b".git"]
        folders += [os.path.join(folder, name) for name in inner]
    for _ in range(dice.randint(1, 6)):
        path = os.path.join(dice.choice(folders), dice.choice(NAMES))
        what = dice.random()
        if os.path.isdir(path) and not os.path.islink(path):
            if what < 0.2:
                shutil.rmtree(path)
            continue
        if os.path.lexists(path):
            os.unlink(path)
        if not os.path.isdir(os.path.dirname(path)) or what < 0.15:
            continue
        if what < 0.35:
            os.mkdir(path)
            folders.append(path)
            continue
        if what < 0.5:
            os.symlink(dice.choice([b"a", b"..", b"\xff"]), path)
            continue
        with open(path, "wb") as file:
            file.write(dice.choice([b"", b"a\nb\n", b"a\r\nb\n", b"\0\n", dice.randbytes(40)]))
        os.chmod(path, dice.choice([0o644, 0o755]))
    if dice.random() < 0.5:
        own = Path(os.fsdecode(dice.choice(folders)))
        if own.is_dir():
            (own / ".codebatchignore").write_text(generated_pattern(dice))
    if dice.random() < 0.4:
        own = Path(os.fsdecode(dice.choice(folders)))
        if own.is_dir():
            words = dice.choice(["text eol=crlf", "-text", "text=auto eol=crlf", "ident", "!eol"])
            (own / ".gitattributes").write_text(f"{dice.choice('*|a|*.c|/b'.split('|'))} {words}\n")


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 40))]
)
def test_generated_histories_are_their_checkouts(
    tmp_path: Path, store: codebatch.Store, seed: int
) -> None:
    dice = random.Random(seed)
    root = write_tree(tmp_path / "work", {"a": "a"})
    git_init(root, add=False, options=("-b", "main"))
    for number in range(6):
        change(root, dice)
        commit_all(root, str(number))
        if dice.random() < 0.2:
            git(root, "gc", "-q", "--prune=now")
    clean = checkout(root)
    order = [dice.randint(0, 5) for _ in range(8)]
    for back in order:
        git(clean, "checkout", "-q", "-f", f"origin/main~{back}")
        git(clean, "clean", "-qfdx")
        git(clean, "rm", "-q", "-r", "--cached", "--ignore-unmatch", ".")
        git(clean, "reset", "-q", "--hard")
        expected = store.snapshot(clean, use_cache=False)
        found = store.snapshot(root, rev=f"main~{back}")
        assert listed(found) == listed(expected)
        assert found.id == expected.id


def test_the_command(
    work: Path, tmp_path: Path, main: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    monkeypatch.chdir(work)
    main("init", store)
    taken = json.loads(main("snapshot", "dir", "--rev", "HEAD", "--store", store, "--json").out)
    assert taken["commit"] == git(work, "rev-parse", "HEAD").decode().strip()
    scan = ("scan", "dir", "--staged", "--pipeline", "parse", "--store", store, "--json")
    batch_id = json.loads(main(*scan).out)["batch_id"]
    shown = json.loads(main("show", batch_id, "--store", store, "--json").out)
    assert shown["snapshot_id"] == taken["snapshot_id"]
    assert main("snapshot", "dir", "--rev", "nope", "--store", store).code == 2
