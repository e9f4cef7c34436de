"""What this machine runs with: versions of everything that results or their transport depend on.

Workers of a cluster answer with it, so it is small and plain.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from codebatch import __version__
from codebatch.errors import StoreError
from codebatch.store import open_store
from codebatch.tasks.registry import BUILT_IN

PACKAGES = (
    *("dask", "distributed", "ruff", "tree-sitter", "tree-sitter-javascript"),
    *("tree-sitter-typescript", "backports.zstd", "msgpack", "click", "filelock", "jsonschema"),
    *("pathspec", "pyarrow", "pandas", "bokeh"),
)
VISIBLE, OTHER, MISSING = "visible", "another store", "missing"
_TIMEOUT_SECONDS = 10


class Facts(NamedTuple):
    """Versions here, and whether a store is the one that is meant, seen from here.

    ``toolchain`` is what the fingerprints of built-in tasks cover: plans made with other versions
    cannot be run here.
    """

    host: str
    codebatch: str
    python: str
    toolchain: dict[str, str]
    packages: dict[str, str]
    store: str | None


def look_around(store: str | None = None, store_id: str | None = None) -> Facts:
    """The facts of the process that calls."""
    toolchain = {
        name: text for task in BUILT_IN.values() for name, text in task.toolchain().items()
    }
    packages = {name: found for name in PACKAGES if (found := _version(name)) is not None}
    seen = None if store is None else _seen(store, store_id)
    return Facts(platform.node(), __version__, platform.python_version(), toolchain, packages, seen)


def git_version() -> str | None:
    """The version of git; None where there is none."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
    )
    return done.stdout.removeprefix("git version ").strip() or None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _seen(store: str, store_id: str | None) -> str:
    try:
        found = open_store(Path(store)).store_id
    except StoreError:
        return MISSING
    return VISIBLE if found == store_id else OTHER
