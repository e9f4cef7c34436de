"""Git as an oracle, in trees that are trusted, and trees with generated ignore files."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from codebatch.snapshot.tree import open_tree
from codebatch.snapshot.walk import TreeWalk


def without_own_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the oracle nor the code under test sees this machine's git settings."""
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


def git(folder: Path, *arguments: str | bytes) -> bytes:
    settings = ("user.name=t", "user.email=t@t", "protocol.file.allow=always")
    options = [word for setting in settings for word in ("-c", setting)]
    command = ["git", *options, "-C", folder, *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def git_files(folder: Path) -> set[bytes]:
    """What git would have in a commit of everything: the oracle for ignore rules."""
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = set(git(folder, *words).split(b"\0")) - {b""}
    return {path for path in listed if os.path.lexists(os.fsencode(folder) + b"/" + path)}


def git_init(folder: Path, *, add: bool = True, options: tuple[str, ...] = ()) -> None:
    git(folder, "init", "-q", *options)
    if add:
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "all")


def git_ignored(folder: Path) -> set[bytes]:
    """What git ignores, a folder for all that is in it: the oracle for what is skipped."""
    words = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    found = {path.rstrip(b"/") for path in git(folder, *words).split(b"\0")} - {b"", b"."}
    return {path for path in found if not _has_ancestor(path, found)}


def _has_ancestor(path: bytes, paths: set[bytes]) -> bool:
    parts = path.split(b"/")
    return any(b"/".join(parts[:end]) in paths for end in range(1, len(parts)))


def walk(root: Path) -> tuple[set[bytes], dict[bytes, str]]:
    """What a walk takes, and what it skips with the reason."""
    with open_tree(root) as tree:
        found = TreeWalk(tree)
        taken = {entry.path for entry in found.entries()}
        return taken, {os.fsencode(skip.path): skip.reason for skip in found.skipped}


# -- generated trees -----------------------------------------------------------------------------

NAMES = [b"a", b"b", b"ab", b"a.o", b"b.c", b"c-a", b"Q", b"x y", b"[a]", b"a\\b", b"#x", b"!n"]
NAMES += [b"d ", b"\xe9", b"a\tb"]
WHOLE = "a|b|*.o|a.o|/a|a/|b/|*|/b/|!a|!*.c|a/b|**/a|a/**|!b/|b/**/a|/*|!/*/|?|[ab]|a**/b|a*b"
ATOMS = (
    "a|b|ab|*|**|?|/|[ab]|[!a]|[a-c]|[[:alpha:]]|[]a]|\\|\\a|\\ |.| |.o|a.o|b.c|!|#|x y|[|-"
    "|[[:upper:]]|[^a]|c-a|A|Q|q|[q]|[Q]|[P-R]|[p-r]|d |[[:foo:]]|[\\]]|**/|/**|[[:space:]]|[a-|\t"
    "|[[:punct:]]"
)


def generated_pattern(dice: random.Random) -> str:
    if dice.random() < 0.3:
        pattern = dice.choice(WHOLE.split("|"))
    else:
        pattern = "".join(dice.choice(ATOMS.split("|")) for _ in range(dice.randint(1, 6)))
    pattern = ("!" if dice.random() < 0.15 else "") + pattern
    pattern += "/" if dice.random() < 0.2 else ""
    return pattern + dice.choice(["\n", "\n", "\n", "\r\n", " \n", "\\ \n"])


def generate_tree(root: Path, dice: random.Random) -> int:
    """Write files, folders, links and ignore files; return how many ignore files."""
    root.mkdir()
    folders = [os.fsencode(root)]
    for _ in range(dice.randint(1, 5)):
        folder = os.path.join(dice.choice(folders), dice.choice(NAMES))
        if not os.path.lexists(folder):
            os.mkdir(folder)
            folders.append(folder)
    for _ in range(dice.randint(1, 14)):
        path = os.path.join(dice.choice(folders), dice.choice(NAMES))
        if os.path.lexists(path):
            continue
        if dice.random() < 0.1:
            os.symlink(b"a", path)
        else:
            Path(os.fsdecode(path)).write_text("x")
    ignoring = [folders[0], *(folder for folder in folders[1:] if dice.random() < 0.5)]
    for folder in ignoring:
        text = "".join(generated_pattern(dice) for _ in range(dice.randint(1, 5)))
        Path(os.fsdecode(folder), ".gitignore").write_text(text)
    return len(ignoring)


def generate_repository(root: Path, dice: random.Random) -> int:
    """Make a generated tree a repository in which some of it is tracked; return how many files of
    patterns it has.
    """
    count = generate_tree(root, dice)
    git_init(root, add=False)
    if dice.random() < 0.3:
        (root / ".git/info/exclude").write_text(generated_pattern(dice))
        count += 1
    git(root, "config", "index.version", dice.choice("234"))
    files = sorted(os.fsencode(path) for path in root.rglob("*") if ".git" not in path.parts)
    files = [path for path in files if os.path.islink(path) or os.path.isfile(path)]
    tracked = dice.sample(files, dice.randint(0, min(6, len(files))))
    if tracked:
        git(root, "--literal-pathspecs", "add", "-f", "--", *tracked)
    if tracked and dice.random() < 0.2:
        git(root, "update-index", "--split-index")
        git(root, "--literal-pathspecs", "rm", "-q", "--cached", "--", tracked[0])
        git(root, "--literal-pathspecs", "add", "-f", "--", *files[:2])
    if dice.random() < 0.2:
        git(root, "config", "core.ignorecase", "true")
    return count
