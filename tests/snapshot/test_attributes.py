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
    "crlf=input|crlf=auto|ident|-ident|!ident|binary|-binary|!binary|n|-m|!m|#|a.b|m"
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
