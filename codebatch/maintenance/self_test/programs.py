"""Code of the tree that would run where Python or a program is started beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from codebatch.maintenance.self_test.vector import Command, Scene, Vector

KIND = "programs"

# What Python imports when it starts, what is imported late, and what Dask imports.
_MODULES = (
    *("json", "click", "msgpack", "resource", "selectors", "site", "sitecustomize", "struct"),
    *("usercustomize", "__future__", "typing", "ruff", "tree_sitter", "filelock", "yaml"),
)
_PACKAGES = ("codebatch", "dask", "distributed", "encodings", "multiprocessing", "numpy", "tornado")
_PROGRAMS = ("ruff", "oxlint", "git", "sh", "python", "python3", "npm", "ldd")
_SCAN = "scan {tree} --store {store}"
_AS_MODULE = ("-m", "codebatch")


def _vector(
    what: str,
    files: Sequence[str],
    environment: Mapping[str, str] | None = None,
    start: Sequence[str] | None = None,
    words: str = _SCAN,
) -> Vector:
    """Return the vector of files that leave a marker, which are Python or else programs."""

    def plant(scene: Scene) -> None:
        for file in files:
            name = file.replace("/", "-")
            is_python = file.endswith((".py", ".pth"))
            text = scene.python_marker(name) if is_python else scene.shell_marker(name)
            if file.endswith(".pth"):
                text = f"import sys; {text}"
            scene.write(f"tree/{file}", text if is_python else f"#!/bin/sh\n{text}\n", mode=0o755)

    return Vector(KIND, what, plant, (Command(words, environment=environment or {}, start=start),))


_ALL = tuple(f"{name}.py" for name in _MODULES)
_ALL_PACKAGES = tuple(f"{name}/__init__.py" for name in _PACKAGES)
_ALL_PROGRAMS = (*_PROGRAMS, *(f"bin/{name}" for name in _PROGRAMS))
_RELATIVE_PATH = {"PATH": ".::bin:{tree}:{tree}/bin:/usr/bin:/bin"}

VECTORS: tuple[Vector, ...] = (
    *(_vector(f"a module {name} in the tree", (f"{name}.py",)) for name in _MODULES),
    *(_vector(f"a package {name} in the tree", (f"{name}/__init__.py",)) for name in _PACKAGES),
    _vector("modules beside python -m codebatch", _ALL, start=_AS_MODULE),
    _vector("all of it beside python -I -m", _ALL + _ALL_PACKAGES, start=("-I", *_AS_MODULE)),
    _vector("a startup file", ("start.py",), {"PYTHONSTARTUP": "start.py"}, _AS_MODULE),
    _vector("PYTHONPATH has the current folder", ("json.py",), {"PYTHONPATH": "."}, _AS_MODULE),
    _vector("PYTHONPATH has an empty entry", ("json.py",), {"PYTHONPATH": ":"}, _AS_MODULE),
    _vector("PATH has the tree", _ALL_PROGRAMS, _RELATIVE_PATH),
    _vector("PATH has the tree, diagnose", _ALL_PROGRAMS, _RELATIVE_PATH, words="diagnose"),
    _vector("a package folder of the tree", ("ruff-99.0.dist-info/RECORD", "a.pth", "bin/ruff")),
)
