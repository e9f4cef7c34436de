"""Revisions, merge bases and what is between two commits: git is the oracle."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from repositories import git, git_init, without_own_settings

from codebatch.model.errors import (
    AmbiguousIdError,
    NotFetchedError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from codebatch.snapshot.git import ancestry
from codebatch.snapshot.git.base import NO_COMMIT, Base, find_base
from codebatch.snapshot.git.history import open_history


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)


def said(root: Path, *words: str) -> str:
    return git(root, *words).decode().strip()


def commit(root: Path, subject: str, *parents: str, time: int = 10**9) -> str:
    """Make a commit of the empty tree, with these parents and at this time."""
    tree = said(root, "write-tree")
    who = f"t <t@t> {time} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {who}", f"committer {who}", "", subject, ""]
    raw = root / "raw"
    raw.write_text("\n".join(lines))
    return said(root, "hash-object", "-t", "commit", "-w", str(raw))


def graph(root: Path, dice: random.Random, size: int, *, skew: int) -> list[str]:
    """A random history: most commits follow the last ones, some merge."""
    made: list[str] = []
    for number in range(size):
        near = made[-6:]
        count = min(len(near), dice.choice([0, 1, 1, 1, 1, 2, 2, 3]) if near else 0)
        time = 10**9 + 100 * number + dice.randint(-skew, skew)
        made.append(commit(root, f"c{number}", *dice.sample(near, count), time=time))
    return made


@pytest.mark.parametrize(("seed", "skew"), [(1, 0), (2, 0), (3, 300)])
def test_merge_bases_and_ranges_are_what_git_says(tmp_path: Path, seed: int, skew: int) -> None:
    root = tmp_path / "made"
    root.mkdir()
    git_init(root, add=False)
    dice = random.Random(seed)
    made = graph(root, dice, 28, skew=skew)
    if seed == 2:
        for number, one in enumerate(made):
            git(root, "update-ref", f"refs/heads/b{number}", one)
        git(root, "gc", "-q", "--prune=now")
    with open_history(os.fsencode(root)) as history:
        for _ in range(16):
            a, b = dice.sample(made, 2)
            bases = []
            with suppress(subprocess.CalledProcessError):  # it ends with 1 where there is none
                bases = said(root, "merge-base", "--all", a, b).split()
            found = history.merge_base(a, b)
            assert found in bases if bases else found is None
            listed = history.between(a, b)
            assert sorted(listed) == sorted(said(root, "rev-list", f"{a}..{b}").split())
            places = {one: place for place, one in enumerate(listed)}
            for one in listed:
                parents = history.commit_info(one).parents
                assert all(places.get(parent, -1) < places[one] for parent in parents)


def ancestors(parents: dict[str, list[str]], commit: str) -> set[str]:
    found, pending = set(), [commit]
    while pending:
        if (one := pending.pop()) not in found:
            found.add(one)
            pending += parents[one]
    return found


TIMES = {
    "years": lambda dice, _: 10**9 + dice.randint(-(10**8), 10**8),
    "some in 1970": lambda dice, n: dice.choice([0] + [10**9 + 10**6 * n] * 6),
    "the same": lambda _dice, _n: 10**9,
}


@pytest.mark.parametrize("clock", TIMES)
def test_clocks_that_were_wrong_hide_nothing(tmp_path: Path, clock: str) -> None:
    root = tmp_path / "made"
    root.mkdir()
    git_init(root, add=False)
    dice, lines = random.Random(7), []
    for n in range(1, 41):
        near = [] if n == 1 else dice.choices(range(max(1, n - 8), n), k=dice.choice([1, 1, 2]))
        time = TIMES[clock](dice, n)
        lines += [f"commit refs/heads/b{n}", f"mark :{n}", f"committer a <a@b> {time} +0000"]
        lines += ["data 1", "x"]
        lines += [f"{'merge' if at else 'from'} :{one}" for at, one in enumerate(sorted(set(near)))]
        lines.append("")
    command = ["git", "-C", root, "fast-import", "--quiet"]
    subprocess.run(command, input="\n".join(lines).encode(), check=True)
    listed = said(root, "rev-list", "--all", "--parents").splitlines()
    parents = {one: rest for one, *rest in map(str.split, listed)}
    with open_history(os.fsencode(root)) as history:
        for _ in range(100):
            a, b = dice.choices(sorted(parents), k=2)
            assert set(history.between(a, b)) == ancestors(parents, b) - ancestors(parents, a)
            common = ancestors(parents, a) & ancestors(parents, b)
            best = {
                one
                for one in common
                if not any(one != other and one in ancestors(parents, other) for other in common)
            }
            base = history.merge_base(a, b)
            assert base in best if best else base is None


def test_merge_bases_of_many_are_found_in_bounded_time() -> None:
    """Two merges of the same long lines of commits: each end of them is a merge base."""
    lines, steps, seen = 32, 40, 0
    commits = {
        f"{line} {step}": ((f"{line} {step - 1}",) if step else ())
        for line in range(lines)
        for step in range(steps)
    }
    ends = tuple(f"{line} {steps - 1}" for line in range(lines))
    commits |= {"left": ends, "right": ends}

    def lookup(commit: str) -> ancestry.CommitInfo:
        nonlocal seen
        seen += 1
        return ancestry.CommitInfo(commit, commits[commit], "", 0, "")

    assert ancestry.merge_base(lookup, "left", "right") in ends
    assert seen < 10 * lines * lines * steps


def test_commits_tags_and_short_hashes(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    git_init(root, add=False, options=("-b", "main"))
    first = commit(root, "the first\nline goes on\n\nbody", time=10**9 + 5)
    git(root, "update-ref", "refs/heads/main", first)
    git(root, "tag", "-a", "v1", "-m", "one")
    git(root, "tag", "-a", "of-a-tag", "-m", "two", "v1")
    second = commit(root, "second", first)
    git(root, "update-ref", "refs/heads/main", second)
    git(root, "tag", "light")
    git(root, "tag", "of-tree", said(root, "rev-parse", "HEAD^{tree}"))
    for _ in range(2):
        with open_history(os.fsencode(root)) as history:
            assert history.tags() == [("light", second), ("of-a-tag", first), ("v1", first)]
            info = history.commit_info(first)
            assert info == (first, (), said(root, "rev-parse", "HEAD^{tree}"), 10**9 + 5,
                            "the first line goes on")  # fmt: skip
            assert history.commit_info(second).parents == (first,)
            for digits in (4, 7, 39):
                assert history.resolve(second[:digits]) == second
            assert history.resolve(second[:3]) is None
            assert history.resolve("v1^{commit}") == history.resolve("v1^{}") == first
            assert history.require("of-a-tag").hash == first
            with pytest.raises(RevisionNotFoundError, match="no commit nope"):
                history.require("nope")
        git(root, "gc", "-q", "--prune=now")
    with pytest.raises(RepositoryNotFoundError), open_history(os.fsencode(tmp_path)):
        pass


def test_the_beginning_of_several_hashes_is_ambiguous(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    git_init(root, add=False)
    seen: dict[str, str] = {}
    folder = root / ".git/objects"
    tree = said(root, "write-tree")
    number = 0
    while True:
        data = f"tree {tree}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\n{number}\n".encode()
        raw = b"commit %d\0" % len(data) + data
        name = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        (folder / name[:2]).mkdir(exist_ok=True)
        (folder / name[:2] / name[2:]).write_bytes(zlib.compress(raw))
        if other := seen.get(name[:4]):
            break
        seen[name[:4]] = name
        number += 1
    with open_history(os.fsencode(root)) as history:
        assert history.resolve(other) == other
        with pytest.raises(AmbiguousIdError, match="the beginning of 2 commits"):
            history.resolve(name[:4])


# -- bases ---------------------------------------------------------------------------------------


@pytest.fixture
def forge(tmp_path: Path) -> Path:
    """A repository in which ``feature`` left ``main`` at its first commit."""
    root = tmp_path / "forge"
    root.mkdir()
    (root / "a.py").write_text("a = 1\n")
    git_init(root, options=("-b", "main"))
    git(root, "switch", "-q", "-c", "feature")
    for number in range(3):
        (root / "b.py").write_text(f"b = {number}\n")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", f"feature {number}")
    git(root, "switch", "-q", "main")
    (root / "c.py").write_text("c = 1\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "on main")
    return root


def cloned(forge: Path, *options: str) -> Path:
    target = forge.parent / f"clone{len(list(forge.parent.glob('clone*')))}"
    git(forge.parent, "clone", "-q", *options, f"file://{forge}", str(target))
    return target


def base_of(root: Path, **environ: str) -> tuple[str | None, str]:
    found = find_base(os.fsencode(root), environ)
    return found.commit, found.words


def test_a_branch_is_compared_with_where_it_left(forge: Path) -> None:
    left = said(forge, "merge-base", "main", "feature")
    assert base_of(forge) == (said(forge, "rev-parse", "HEAD"), "the merge base with main")
    git(forge, "switch", "-q", "feature")
    assert base_of(forge) == (left, "the merge base with main")
    git(forge, "switch", "-q", "--detach")
    assert base_of(forge) == (left, "the merge base with main")
    git(forge, "switch", "-q", "main")
    work = cloned(forge)
    git(work, "switch", "-q", "feature")  # which follows its own copy
    assert base_of(work) == (left, "the merge base with origin/main")
    git(work, "branch", "-q", "--set-upstream-to", "origin/main")
    assert base_of(work) == (left, "the merge base with origin/main")
    git(work, "switch", "-q", "-c", "part", "--track", "feature")
    git(work, "commit", "-q", "--allow-empty", "-m", "more")
    assert base_of(work) == (said(work, "rev-parse", "feature"), "the merge base with feature")
    with open_history(os.fsencode(work)) as history:
        assert history.resolve("@{u}") == history.resolve("part@{upstream}")
        assert history.resolve("HEAD@{u}~1") == said(work, "rev-parse", "@{u}~1")
        assert history.resolve("nope@{u}") is None
        assert history.resolve("origin") == said(work, "rev-parse", "origin/main")


def test_a_repository_with_one_odd_branch_is_compared_with_its_head(tmp_path: Path) -> None:
    root = tmp_path / "one"
    root.mkdir()
    git_init(root, add=False, options=("-b", "trunk"))
    assert base_of(root) == Base(None, NO_COMMIT)
    git(root, "commit", "-q", "--allow-empty", "-m", "x")
    assert base_of(root)[0] == said(root, "rev-parse", "HEAD")


def pull_request(forge: Path) -> str:
    """What a forge makes of a pull request: a ref with the merge into the base."""
    git(forge, "switch", "-q", "--detach", "main")
    git(forge, "merge", "-q", "--no-ff", "-m", "merge", "feature")
    git(forge, "update-ref", "refs/pull/1/merge", "HEAD")
    git(forge, "switch", "-q", "main")
    return said(forge, "rev-parse", "main")


@pytest.mark.parametrize("depth", [None, 2, 1])
def test_the_base_of_a_pull_request(forge: Path, depth: int | None, tmp_path: Path) -> None:
    tip = pull_request(forge)
    work = tmp_path / "runner"
    work.mkdir()
    git_init(work, add=False)
    git(work, "remote", "add", "origin", f"file://{forge}")
    refs = ["+refs/pull/1/merge:refs/remotes/pull/1/merge"]
    if depth is None:
        refs.append("+refs/heads/*:refs/remotes/origin/*")
    options = [] if depth is None else [f"--depth={depth}"]
    git(work, "fetch", "-q", "--no-tags", *options, "origin", *refs)
    git(work, "checkout", "-q", "--detach", "refs/remotes/pull/1/merge")
    if depth == 1:
        with pytest.raises(NotFetchedError, match=r"shallow.*--unshallow.*fetch-depth: 0"):
            base_of(work, GITHUB_BASE_REF="main")
        return
    words = "the merge base with origin/main" if depth is None else "the first parent of the merge"
    found, said_words = base_of(work, GITHUB_BASE_REF="main")
    assert found == tip
    assert said_words.startswith(words)


def test_the_base_of_a_merge_request(forge: Path) -> None:
    left = said(forge, "merge-base", "main", "feature")
    whole, shallow = cloned(forge, "-b", "feature"), cloned(forge, "--depth=1", "-b", "feature")
    assert base_of(whole, CI_MERGE_REQUEST_DIFF_BASE_SHA=left)[0] == left
    with pytest.raises(NotFetchedError, match=rf"git fetch --unshallow.*git fetch origin {left}"):
        base_of(shallow, CI_MERGE_REQUEST_DIFF_BASE_SHA=left)
    with pytest.raises(NotFetchedError, match=r"shallow.*git fetch --unshallow"):
        base_of(shallow)
    with pytest.raises(NotFetchedError, match="git fetch origin nope:refs/remotes/origin/nope"):
        base_of(cloned(forge), GITHUB_BASE_REF="nope")


def test_hostile_words_of_the_environment_lead_nowhere(forge: Path) -> None:
    for word in ("../../../HEAD", "--upload-pack=x", "a\nb", "\ud800"):
        with pytest.raises(NotFetchedError):
            base_of(forge, GITHUB_BASE_REF=word)
        with pytest.raises(NotFetchedError):
            base_of(forge, CI_MERGE_REQUEST_DIFF_BASE_SHA=word)
