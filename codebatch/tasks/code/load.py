"""Loading a task that the user has named: from a file, or from a module that can be imported.

A file is run from the bytes that its fingerprint covers, under its own module name; so are the
modules beside it that it imports. Neither its folder nor the current one is put on the path, and
what has the name of another module is refused: nothing that is named nowhere is ever run.
"""

from __future__ import annotations

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from codebatch.model.errors import CodeBatchError, TaskCodeError, TaskLoadError, TaskNotFoundError
from codebatch.model.resources import nearest_of
from codebatch.tasks.code.distributions import is_installed
from codebatch.tasks.code.importer import ModuleSource, held_source, hold, is_held
from codebatch.tasks.code.modules import Finder
from codebatch.tasks.code.reach import Reach

_FILE = ".py"
_INIT = "__init__.py"


def load_object(address: str) -> object:
    """Return what ``FILE.py:NAME`` or ``module:NAME`` names.

    `TaskNotFoundError` where it is not there, `TaskLoadError` where its module cannot be loaded,
    `TaskCodeError` where its name is that of another module.
    """
    place, _, name = address.rpartition(":")
    if not place or not name:
        raise TaskNotFoundError(
            f"not the address of a task: {address}", hints=["write FILE.py:NAME or module:NAME"]
        )
    module = _load_file(place) if place.endswith(_FILE) else _import(place, place)
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise _no_such_name(place, name, module)
        found = getattr(found, part)
    return found


def _load_file(place: str) -> ModuleType:
    path = Path(place).absolute()
    if not path.is_file():
        raise TaskNotFoundError(f"no file {place}", hints=["write FILE.py:NAME or module:NAME"])
    name, folder = _module_name(path)
    if _is_loaded_by_others(name.partition(".")[0], folder):
        return _import(name, place)
    reach = Reach(Finder(frozenset({name.partition(".")[0]}), str(folder)))
    reach.add_module(name)
    found = reach.sources.get(name)
    if found is None or Path(found.path).resolve() != path.resolve():
        raise TaskCodeError(
            f"{place} cannot be imported as {name}: that is "
            + ("no name of a module" if found is None else f"{found.path or 'a folder'}"),
            hints=["give the file another name"],
        )
    own = {one: source for one, source in reach.sources.items() if _is_within(source, folder)}
    _check_names(own)
    hold(own.values())
    return _import(name, place)


def _module_name(path: Path) -> tuple[str, Path]:
    """Return the module name of a file, and the folder that its top package, or itself, is in."""
    names = [] if path.name == _INIT else [path.stem]
    folder = path.parent
    while (folder / _INIT).is_file() and folder != folder.parent:
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names), folder


def _is_within(source: ModuleSource, folder: Path) -> bool:
    return not source.path or Path(source.path).is_relative_to(folder)


def _is_loaded_by_others(top: str, folder: Path) -> bool:
    """Return whether a module or package of a folder was imported from the path: two of it, and of
    its classes, would not go together.
    """
    spec = getattr(sys.modules.get(top), "__spec__", None)
    if spec is None or is_held(spec) or not spec.has_location:
        return False
    return Path(spec.origin).resolve().is_relative_to(folder.resolve())


def _check_names(sources: Mapping[str, ModuleSource]) -> None:
    """Raise `TaskCodeError` where a module of that name, of another file, is loaded."""
    for name, source in sources.items():
        held, loaded = held_source(name), sys.modules.get(name)
        other = held.path if held is not None else getattr(loaded, "__file__", None)
        if other and source.path and Path(other).resolve() != Path(source.path).resolve():
            raise TaskCodeError(
                f"{source.path} and {other} would both be module {name}",
                hints=["give one of the files another name, or put them into packages"],
            )


def _import(name: str, place: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except CodeBatchError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise TaskNotFoundError(
                f"no module {error.name}",
                hints=[f"install it, or give the file: {name.replace('.', '/')}.py:NAME"],
            ) from error
        _refuse(place, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the module is the user's
        _refuse(place, error)


def _refuse(place: str, error: BaseException) -> NoReturn:
    """Say in one line what went wrong while a module was loaded, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{one.filename}:{one.lineno}" for one in frames if _is_own(one.filename)]
    text = str(error).partition("\n")[0]
    raise TaskLoadError(
        f"cannot load {place}: {type(error).__name__}: {text}"
        + (f" ({where[-1]})" if where else "")
    ) from error


def _is_own(file: str) -> bool:
    """Return whether a file is of the user's own code."""
    path = Path(file)
    own_places = not path.is_relative_to(_STANDARD) and not path.is_relative_to(_HERE)
    return path.is_absolute() and own_places and not is_installed(file)


_HERE = Path(__file__).parent
_STANDARD = sysconfig.get_path("stdlib")


def _no_such_name(place: str, name: str, module: ModuleType) -> TaskNotFoundError:
    nearest = nearest_of(name, (one for one in vars(module) if not one.startswith("_")))
    return TaskNotFoundError(
        f"{place} has no {name}", hints=[f"the nearest: {nearest}"] if nearest else []
    )
