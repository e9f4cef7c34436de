"""Generated attribute files: what a checkout by git makes of them is the oracle."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from repositories import ATOMS, NAMES, WHOLE, git, git_init, without_own_settings

import codebatch

STATES = (
    "text|-text|!text|text=auto|text=input|text=foo|eol=crlf|eol=lf|!eol|-eol|eol|crlf|-crlf|"
    "crlf=input|crlf=auto|-text=foo|&x|ident|-ident|!ident|binary|-binary|!binary|n|-m|!m|#|a.b|m"
).split("|")
CONTENTS = [b"a\nb $Id$\n", b"a\r\nb\n$Id$", b"\0\n$Id: x$\n", b"\r\n\n", b"x\ry\n", b"\x01\n"]


def pattern(dice: random.Random) -> str:
    if dice.random() < 0.5:
        found = dice.choice(WHOLE.split("|"))
    else:
        found = "".join(dice.choice(ATOMS.split("|")) for _ in range(dice.randint(1, 5)))
    if dice.random() < 0.15:
        quoted = found.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
        return f'"{quoted}"'
    return found


def attributes(dice: random.Random, *, is_top: bool) -> str:
    lines = []
    if is_top and dice.random() < 0.6:
        lines.append(f"[attr]m {' '.join(dice.choices(STATES[:-5], k=2))}")
    if is_top and dice.random() < 0.4:
        lines.append(f"[attr]n m {dice.choice(STATES[:-5])}")
    if not is_top and dice.random() < 0.1:
        lines.append("[attr]m text eol=crlf")
    for _ in range(dice.randint(1, 6)):
        states = " ".join(dice.choices(STATES, k=dice.randint(1, 3)))
        lines.append(f"{pattern(dice)}{dice.choice([' ', '  ', chr(9)])}{states}")
    return dice.choice(["\n", "\r\n"]).join(lines) + "\n"


def generate(root: Path, dice: random.Random) -> None:
    root.mkdir()
    folders = [os.fsencode(root)]
    for _ in range(4):
        folder = os.path.join(dice.choice(folders), dice.choice(NAMES))
        if not os.path.lexists(folder):
            os.mkdir(folder)
            folders.append(folder)
    for folder in folders:
        for name in NAMES:
            if not os.path.lexists(path := os.path.join(folder, name)):
                Path(os.fsdecode(path)).write_bytes(dice.choice(CONTENTS))
        if folder == folders[0] or dice.random() < 0.5:
            text = attributes(dice, is_top=folder == folders[0])
            Path(os.fsdecode(folder), ".gitattributes").write_text(text, newline="")


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 60))]
)
def test_generated_attributes_mean_what_git_says(
    tmp_path: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)
    root = tmp_path / "work"
    generate(root, random.Random(seed))
    git_init(root, add=False)
    git(root, "add", "-A", "-f")
    git(root, "commit", "-q", "-m", "all")
    git(tmp_path, "clone", "-q", str(root), str(tmp_path / "clone"))
    expected = store.snapshot(tmp_path / "clone")
    found = store.snapshot(root, rev="HEAD")
    assert [tuple(file) for file in found.files] == [tuple(file) for file in expected.files]


def same_as_checkout(
    tmp_path: Path, store: codebatch.Store, files: dict[str, bytes], links: dict[str, str]
) -> codebatch.Snapshot:
    """The snapshot of a commit of these files, which is that of its checkout."""
    root = tmp_path / "work"
    root.mkdir()
    git_init(root, add=False)
    for path, content in files.items():
        (root / path).write_bytes(content)
    for path, target in links.items():
        (root / path).symlink_to(target)
    (root / ".git/info/attributes").write_text("* -text -ident !working-tree-encoding\n")
    git(root, "add", "-A", "-f")
    git(root, "commit", "-q", "-m", "all")
    git(tmp_path, "clone", "-q", str(root), str(tmp_path / "clone"))
    found, expected = store.snapshot(root, rev="HEAD"), store.snapshot(tmp_path / "clone")
    assert [tuple(file) for file in found.files] == [tuple(file) for file in expected.files]
    return found


LINES = [
    "*.txt text eol=crlf # a comment is no attribute",
    "*.txt text eol=crlf a/b",
    "*.txt text\veol=crlf\n*.md\ftext eol=crlf",
    "* text eol=crlf\n*.txt -text=foo",
    "[attr]x y\n[attr]y text eol=crlf\n*.txt x",
    "[attr]y -text\n[attr]x y\n[attr]y text eol=crlf\n*.txt x",
    "[attr]x y\n[attr]y x text eol=crlf\n*.txt x",
    "[attr]x y -text\n[attr]y text eol=crlf\n*.txt x\n*.md -text x",
    "[attr] x text eol=crlf\n*.txt x",
    '"[attr]x" text eol=crlf\n*.txt x',
    '"[attr] x" text eol=crlf\n*.txt x',
    '"a b.txt"text eol=crlf',
    '"a\\q.txt" text eol=crlf\n"a.t\\170t" text eol=crlf',
    '"a.txt\\000x" text eol=crlf\n"\\777" text',
    "\ufeff*.txt text eol=crlf\n*.md text eol=crlf",
    "*.txt text eol=crlf\0\n*.md text eol=crlf",
    "*.txt working-tree-encoding=latin1\n*.md working-tree-encoding=UTF-16",
]


@pytest.mark.parametrize("lines", LINES)
def test_lines_that_git_takes_apart(
    tmp_path: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)
    names = ("a.txt", "a b.txt", "aq.txt", "a\\q.txt", '"a\\q.txt"', "a.md", "a.md\ftext")
    files = dict.fromkeys(names, b"a\nb \xe2\x82\xac\n") | {"x.md": b"\xff\n"}
    same_as_checkout(tmp_path, store, files | {".gitattributes": f"{lines}\n".encode()}, {})


def test_attributes_that_are_a_link(
    tmp_path: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)
    links = {".gitattributes": "* text eol=crlf"}
    assert same_as_checkout(tmp_path, store, {"a": b"1\n"}, links).files[1].size == 3


@pytest.mark.parametrize(
    ("attributes", "ignored"),
    [(".codebatchignore working-tree-encoding=UTF-16", "a.txt"), ("* ident", "$Id$")],
)
def test_patterns_are_those_of_the_checkout(
    tmp_path: Path,
    store: codebatch.Store,
    monkeypatch: pytest.MonkeyPatch,
    attributes: str,
    ignored: str,
) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)
    files = {"a.txt": b"1", "$Id$": b"2", ".codebatchignore": f"{ignored}\n".encode()}
    files[".gitattributes"] = attributes.encode()
    assert ignored in {file.path for file in same_as_checkout(tmp_path, store, files, {}).files}


IDS = [b"$Id$", b"$Id: x$", b"$Id: x y $", b"$Id:$", b"$Id:", b"$", b" ", b"x", b"\n", b"$Id: $"]
IDS += [b"$Id:x y$", b"$Id", b"Id:", b"$Id: a b$", b"$Id\0", b"\t", b"$I", b"$Id: a\0 b$", b"\r\n"]


@pytest.mark.parametrize(
    "seed", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in range(6, 16))]
)
def test_generated_ids_are_what_git_makes_of_them(
    tmp_path: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)
    dice = random.Random(seed)
    kinds = {"a": "", "b": " text eol=crlf", "c": " text=auto", "d": " text=auto eol=lf"}
    lines = "".join(f"*.{kind} ident{more}\n" for kind, more in kinds.items())
    files = {".gitattributes": lines.encode()}
    for number in range(300):
        data = b"".join(dice.choices(IDS, k=dice.randint(1, 5)))
        files[f"{number}.{dice.choice('abcd')}"] = data
    same_as_checkout(tmp_path, store, files, {})


def test_what_cannot_be_known_is_listed(
    tmp_path: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)
    root = tmp_path / "work"
    (root / "d").mkdir(parents=True)
    lines = ["a working-tree-encoding", "b working-tree-encoding=SHIFT-JIS", "c filter=x"]
    (root / ".gitattributes").write_text("\n".join(lines))
    for name in ("a", "b", "c", "d/e"):
        (root / name).write_text("x\n")
    macros = "".join(f"[attr]m{n} text\n" for n in range(200))
    git_init(root, add=False)
    (root / ".git/info/attributes").write_text("* !working-tree-encoding\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "all")
    found = store.snapshot(root, rev="HEAD")
    assert {file.path for file in found.files} == {".gitattributes", "d/e"}
    assert found.taken is not None
    reasons = {file.path: file.reason for file in found.taken.skipped}
    assert "without a value" in reasons["a"]
    assert "SHIFT-JIS" in reasons["b"]
    assert "filter" in reasons["c"]
    (root / ".gitattributes").write_text(macros)
    git(root, "add", "-A")
    staged = store.snapshot(root, staged=True)
    assert staged.taken is not None
    assert not staged.files
    assert all("too many macros" in file.reason for file in staged.taken.skipped)
