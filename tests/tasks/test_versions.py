"""The versions that fingerprints of tasks name."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codebatch.tasks.languages.versions import package_version, parser_versions

PACKAGES = ("tree-sitter", "tree-sitter-javascript", "tree-sitter-typescript", "ruff", "msgpack")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    package_version.cache_clear()
    yield
    package_version.cache_clear()


def install(folder: Path, name: str, version: str) -> None:
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.mark.parametrize("package", PACKAGES)
def test_versions_are_those_of_the_metadata(package: str) -> None:
    assert package_version(package) == importlib.metadata.version(package)


def test_parsers_and_the_minor_version_are_named() -> None:
    versions = parser_versions()
    assert list(versions) == ["implementation", "python", *PACKAGES[:3]]
    assert versions["implementation"].lower() == sys.implementation.name
    assert versions["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"


def test_the_first_folder_of_the_path_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "a", "A.Package_x", "1.2")
    install(tmp_path / "b", "a_package_x", "3.4")
    install(tmp_path / "b", "a_package_x_y", "5.6")
    (tmp_path / "file").touch()
    folders = ["file", "missing", "a", "b"]
    monkeypatch.setattr(sys, "path", [str(tmp_path / name) for name in folders])
    assert package_version("a-package-x") == "1.2"
    assert package_version("a-package-x-y") == "5.6"


def test_two_versions_in_a_folder_are_left_to_the_standard_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "twice", "1.2")
    install(tmp_path, "twice", "3.4")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert package_version("twice") == importlib.metadata.version("twice")


def test_a_missing_package_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match="no-such-package"):
        package_version("no-such-package")


def test_toolchains_load_no_parser() -> None:
    program = (
        "import sys; from codebatch.tasks.registry import built_in_tasks\n"
        "assert all(task.toolchain() for task in built_in_tasks())\n"
        "assert not {'tree_sitter', 'importlib.metadata'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
