"""The distributions: what is in them, and that the wheel works where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import REPOSITORY, cli_environment, make_tree

import codebatch

DATA = ("graphs", "schemas")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel made from it."""
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, REPOSITORY],
        env=cli_environment(),
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def files_of(folder: Path) -> set[str]:
    return {
        str(path.relative_to(REPOSITORY))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def test_wheel_holds_the_package_and_its_data(distributions: Path) -> None:
    with zipfile.ZipFile(only(distributions, "*.whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = files_of(REPOSITORY / "codebatch")
    expected |= {f"codebatch/{name}" for part in DATA for name in files_of(REPOSITORY / part)}
    assert names == expected
    assert {"codebatch/graphs/full.json", "codebatch/schemas/pipeline.schema.json"} <= names
    assert {f"codebatch/report/{name}" for name in ("page.html", "page.css", "map.js")} <= names


def test_package_says_that_it_is_typed(distributions: Path) -> None:
    with zipfile.ZipFile(only(distributions, "*.whl")) as wheel:
        assert "codebatch/py.typed" in wheel.namelist()


def test_sdist_holds_what_is_needed_to_build_and_test(distributions: Path) -> None:
    with tarfile.open(only(distributions, "*.tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for part in ("codebatch", "tests", "docs", "examples", *DATA):
        assert files_of(REPOSITORY / part) <= names, part
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= names
    assert not {name for name in names if "__pycache__" in name or name.startswith(".git/")}


def test_metadata(distributions: Path) -> None:
    with zipfile.ZipFile(only(distributions, "*.whl")) as wheel:
        info = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = wheel.read(info).decode()
        entry_points = wheel.read(info.replace("METADATA", "entry_points.txt")).decode()
    assert f"\nVersion: {codebatch.__version__}\n" in metadata
    assert "\nRequires-Python: >=3.10\n" in metadata
    assert "\nLicense-Expression: MIT\n" in metadata
    assert "codebatch = codebatch.cli:main" in entry_points
    assert "[dask_cli]" in entry_points


def test_installed_wheel_works(distributions: Path, tmp_path: Path) -> None:
    """In an environment of its own, which sees the dependencies of this one and nothing else."""
    pytest.importorskip("pip")
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin/python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    # Lines of .pth files in a folder named by one are not read: the editable install is not seen.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    shutil.copy2(Path(sysconfig.get_path("scripts"), "ruff"), home / "bin/ruff")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    # Pip takes what the folder of dependencies has for installed here.
    pip.append("--ignore-installed")
    subprocess.run(
        [*pip, "--quiet", "--disable-pip-version-check", only(distributions, "*.whl")], check=True
    )

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            arguments,
            cwd=tmp_path,
            env=cli_environment(VIRTUAL_ENV=None, PYTHONPATH=None),
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run(python, "-c", "import codebatch; print(codebatch.__file__)").strip()
    assert Path(where) == site / "codebatch/__init__.py"
    command = home / "bin/codebatch"
    assert [row["name"] for row in json.loads(run(command, "pipelines", "--json"))] == [
        path.stem for path in sorted((REPOSITORY / "graphs").glob("*.json"))
    ]
    make_tree(tmp_path / "tree")
    report = json.loads(run(command, "scan", "tree", "--json", "--scheduler", "processes"))
    _, here = codebatch.scan(tmp_path / "tree", tmp_path / "here", scheduler="sync")
    assert (report["status"], report["result"]) == ("done", here.result)
    assert not [name for name in os.listdir(tmp_path / "tree") if name.startswith(".")]
