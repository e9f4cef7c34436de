"""Real packages from the registries, as the tests of corpora and clusters use them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile
from pathlib import Path

import pytest


def fetch(command: list[str], folder: Path) -> None:
    """Run a command that asks a registry; again after a while where that gives nothing."""
    for pause in (5, 30, 0):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        time.sleep(pause)
    raise AssertionError(f"{command}: {done.stdout}{done.stderr}")


def wheel(folder: Path, requirement: str) -> Path:
    """Return the files of a package of Python, as it is installed."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", requirement, "--no-deps"]
    fetch([*command, "--dest", str(folder)], folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder / "tree")
    return folder / "tree"


def django(folder: Path) -> Path:
    return wheel(folder, "django==5.1")


def standard_library(folder: Path) -> Path:
    ignore = shutil.ignore_patterns("site-packages", "__pycache__")
    shutil.copytree(sysconfig.get_path("stdlib"), folder / "tree", ignore=ignore, symlinks=True)
    return folder / "tree"


def npm_package(folder: Path) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, so its packages cannot be fetched")
    command = ["npm", "pack", "--silent", "@docusaurus/theme-classic@3.10.2", "create-vite@9.3.0"]
    fetch(command, folder)
    for archive in folder.glob("*.tgz"):
        with tarfile.open(archive) as package:
            for member in package.getmembers():
                if member.isfile():
                    target = folder / "tree" / archive.stem / member.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    stream = package.extractfile(member)
                    assert stream is not None
                    target.write_bytes(stream.read())
    return folder / "tree"
