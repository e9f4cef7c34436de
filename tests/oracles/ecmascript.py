"""Sources of npm packages, changed and hand-made ones, and what other tools say of them.

What is downloaded lies in one folder for all processes of a run of tests.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from corpora import fetch
from filelock import FileLock

HERE = Path(__file__).parent
DRIVER = HERE / "ecmascript_oracle.js"
CONSTRUCTS = HERE / "constructs.json"
TOOLS = (
    "typescript@6.0.3",
    "@babel/parser@7.29.15",
    "eslint@10.15.0",
    "@typescript-eslint/parser@8.74.0",
    "@typescript-eslint/eslint-plugin@8.74.0",
)
# Sources, declarations, bundles; Flow in react-native, templates in ember-source.
PACKAGES = """
abitype@1.3.0 antd@6.6.8 arktype@2.2.10 axios@1.21.1 chart.js@4.6.1 core-js@3.51.0 date-fns@4.4.0
drizzle-orm@0.45.4 effect@4.1.0 ember-source@7.3.0 eslint@10.15.0 express@5.3.0 fp-ts@2.16.11
framer-motion@14.14.0 graphql@16.15.0 highlight.js@11.12.0 immer@11.2.13 immutable@5.2.1
io-ts@2.2.22 koa@3.3.0 lodash@4.18.1 luxon@3.7.2 mobx@7.1.3 pixi.js@8.22.0 playwright-core@1.65.1
preact@11.2.0 prettier@3.10.1 ra-ui-materialui@5.15.4 ramda@0.32.0 react@19.3.1 react-dom@19.3.1
react-native@0.86.3 rollup@4.68.8 rxjs@7.8.2 socket.io@4.8.4 solid-js@1.9.20
styled-components@6.6.0 svelte@5.57.3 three@0.187.0 type-fest@5.10.0 typeorm@1.1.1 valibot@1.5.0
viem@2.57.20 vite@8.4.0 vue@3.5.45 xstate@5.33.3 zod@4.6.7 @angular/core@21.2.26
@apollo/client@4.3.8 @babel/parser@7.29.15 @docusaurus/theme-classic@3.10.2
@nestjs/common@12.5.1 @reduxjs/toolkit@2.15.0 @sinclair/typebox@0.34.52
@tanstack/query-core@5.108.4 @wordpress/components@41.0.0
""".split()
# A page of thousands of modules in a few files, and what its bundler makes of names.
WHEELS = ("apache-airflow-core==3.3.2",)
ALWAYS = ("apache_airflow_core-", "three-")  # archives of which every file is compared
SUFFIXES = frozenset(".js .mjs .cjs .jsx .ts .mts .cts .tsx".split())
NPM_SECONDS = 600

_TOKEN = re.compile(r"[\w$]+|[^\s\w]")
_TOKENS = (
    "( ) { } [ ] < > , ; : = => ? . ... ' ` / * @ # class in of await let default static async"
).split()

Said = dict[str, Any]


def npm(*arguments: str, cwd: Path) -> None:
    """Run npm, or skip the test where that gives nothing."""
    program = shutil.which("npm")
    if program is None or shutil.which("node") is None:
        pytest.skip("npm and node are not installed")
    command = [program, *arguments]
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=NPM_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:  # it tries each package again for a minute
        pytest.skip(f"npm {arguments[0]} did not end in {NPM_SECONDS} s: is the registry there?")
    if done.returncode:
        pytest.skip(f"npm {arguments[0]} failed: {done.stderr.strip()[-200:]}")


def download(folder: Path) -> None:
    """Fetch packages and tools into a folder, once for all processes that ask for it."""
    with FileLock(folder.with_suffix(".lock")):
        if folder.exists():
            return
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "tools").mkdir(parents=True)
        npm("pack", "--silent", "--ignore-scripts", *PACKAGES, cwd=partial)
        fetch([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *WHEELS], partial)
        install = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        npm(*install, "--prefix", str(partial / "tools"), *TOOLS, cwd=partial / "tools")
        partial.rename(folder)


def sources(folder: Path) -> dict[str, bytes]:
    """Return the sources of all packages by path, of equal ones the first."""
    found: dict[str, bytes] = {}
    seen: set[bytes] = set()
    for archive in sorted([*folder.glob("*.tgz"), *folder.glob("*.whl")]):
        for path, data in _members(archive):
            digest = sha256(data).digest()
            if digest not in seen:
                seen.add(digest)
                found[str(archive.stem / path.relative_to(path.parts[0]))] = data
    return found


def _members(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if PurePosixPath(name).suffix in SUFFIXES:
                    yield PurePosixPath(name), wheel.read(name)
        return
    with tarfile.open(archive) as package:
        for member in package:
            path = PurePosixPath(member.name)
            if member.isfile() and path.suffix in SUFFIXES:
                stream = package.extractfile(member)
                assert stream is not None
                yield path, stream.read()


def changed(files: dict[str, bytes], count: int, seed: int) -> dict[str, bytes]:
    """Return up to ``count`` small files, none of Flow, with a token each that is left out, written
    twice or replaced.
    """
    dice = random.Random(seed)
    small = [
        path
        for path, data in sorted(files.items())
        if 20 < len(data) < 20_000 and b"@flow" not in data
    ]
    return {
        f"{number}{_suffix(path)}": _change(files[path].decode("utf-8", "replace"), dice).encode()
        for number, path in enumerate(dice.sample(small, min(count, len(small))))
    }


def _suffix(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    return (".d" if ".d." in name else "") + PurePosixPath(name).suffix


def _change(text: str, dice: random.Random) -> str:
    tokens = list(_TOKEN.finditer(text))
    if not tokens:
        return text
    token = dice.choice(tokens)
    other = dice.choice(("", f"{token[0]} {token[0]}", dice.choice(_TOKENS)))
    return text[: token.start()] + other + text[token.end() :]


def constructs() -> dict[str, bytes]:
    """Return hand-made files, valid and not, of a construct each."""
    table = json.loads(CONSTRUCTS.read_text(encoding="utf-8"))
    return {
        f"{number}.{extension}": text.encode()
        for extension, texts in table.items()
        for number, text in enumerate(texts)
    }


def write(files: dict[str, bytes], root: Path) -> None:
    """Write files below a folder."""
    for path, data in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def said(kind: str, root: Path, paths: Iterable[str], tools: Path) -> list[Said]:
    """Return what the tools say of files below ``root``: ``verdicts`` or ``names``.

    Two processes of node see half of the files each.
    """

    def half(part: list[str]) -> list[Said]:
        command = [
            "node",
            "--experimental-vm-modules",
            "--stack-size=900",
            str(DRIVER),
            str(tools),
            kind,
        ]
        done = subprocess.run(
            command, cwd=root, input="\n".join(part), capture_output=True, text=True, check=True
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    everything = sorted(paths)
    with ThreadPoolExecutor(2) as pool:
        halves = pool.map(half, (everything[::2], everything[1::2]))
        return [one for part in halves for one in part]
