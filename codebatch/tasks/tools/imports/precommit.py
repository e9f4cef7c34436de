"""Hooks of pre-commit: those whose command is known and whose program is installed.

A hook of another repository has its command there, and is known here by its id alone: for some, a
packaged description does the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from codebatch.model.digest import Document
from codebatch.tasks.tools.description import PATH, PROJECT
from codebatch.tasks.tools.imports.chosen import Chosen, add_types
from codebatch.tasks.tools.imports.found import (
    Imported,
    UntranslatableError,
    entries,
    text,
    texts,
    words,
)
from codebatch.tasks.tools.imports.patterns import globs_of
from codebatch.tasks.tools.imports.yaml_text import read_yaml

PRECOMMIT_FILE = ".pre-commit-config.yaml"
_META = "meta"
_NOTHING = "^$"
# Languages in which the entry is a program; it is looked for where all programs are.
_INSTALLED = {
    *("system", "unsupported", "python", "node", "golang", "rust", "ruby", "conda", "dart"),
    *("dotnet", "haskell", "julia", "lua", "perl", "r", "swift", "coursier"),
}
_ON_FILES = {"pre-commit", "commit", "pre-push", "push", "pre-merge-commit", "merge-commit"}
_PLACES = ("${target}", "${argfile}", "${dir}")
_OF_ALL = {"file", "text"}
_LINE = (
    r"^(?P<path>[^:\s][^:]*):(?P<line>\d+):(?:(?P<column>\d+):)? *"
    r"(?:\[?(?P<code>[A-Za-z]{1,8}-?\d{1,6})\]?:? )?(?P<message>.+)$"
)
# What a name of a description cannot have.
_UNNAMED = re.compile(r"[^A-Za-z0-9_-]+")


# Hooks that have another id than the packaged tool that does the same.
_NAMED = {"ruff-check": "ruff", "sqlfluff-lint": "sqlfluff"}
# Options that choose what is found, by tool; those with ``=`` have a value.
_OPTIONS = {
    "bandit": "--skip= --tests= --severity-level= --confidence-level=",
    "codespell": "--ignore-words-list= --builtin=",
    "flake8": "--max-line-length= --max-complexity= --select= --ignore= --extend-select= "
    "--extend-ignore=",
    "hadolint": "--ignore=",
    "mypy": "--strict --ignore-missing-imports --warn-unreachable --warn-unused-ignores "
    "--disallow-untyped-defs --check-untyped-defs --no-implicit-optional",
    "pylint": "--disable= --enable= --max-line-length=",
    "ruff": "--select= --ignore= --extend-select= --extend-ignore= --target-version= "
    "--line-length= --preview",
    "shellcheck": "--exclude= --severity= --shell=",
    "sqlfluff": "--dialect=",
    "vulture": "--min-confidence= --ignore-names= --ignore-decorators=",
    "yamllint": "--strict",
}


def import_precommit(
    data: bytes,
    where: str,
    packaged: Mapping[str, Document],
    find_program: Callable[[str], str],
) -> Imported:
    """Return what a configuration says; `ToolImportError` for what is no YAML. ``packaged`` are the
    descriptions that there are, ``find_program`` says where a program is, if it is installed.
    """
    document = read_yaml(data, where)
    found = Imported()
    with found.leaving(where):
        for repository in entries(document.get("repos"), "repos"):
            for hook in entries(repository.get("hooks"), "hooks"):
                name = str(hook.get("id"))
                with found.leaving(name):
                    made = _Hook(repository, hook, document, found)
                    found.add(made.description(packaged, find_program))
    return found


class _Hook:
    """The translation of a hook: ``top`` is the document that it is in."""

    def __init__(
        self,
        repository: Mapping[str, Any],
        hook: Mapping[str, Any],
        top: Mapping[str, Any],
        found: Imported,
    ) -> None:
        self._repository = text(repository.get("repo"), "repo")
        self._hook = hook
        self._top = top
        self._found = found
        self._id = text(hook.get("id"), "id")

    def description(
        self, packaged: Mapping[str, Document], find_program: Callable[[str], str]
    ) -> Document:
        """Return the description of what the hook runs."""
        if self._repository == _META:
            raise UntranslatableError("it is about pre-commit itself")
        stages = {*texts(self._hook.get("stages", self._top.get("default_stages")), "stages")}
        if stages and not stages & _ON_FILES:
            raise UntranslatableError(f"its stages are {', '.join(sorted(stages))}")
        made = self._own() if "entry" in self._hook else self._known(packaged)
        program = made["run"][0]
        if not find_program(program):
            raise UntranslatableError(f"{program} is not installed here")
        if self._hook.get("additional_dependencies"):
            reason = "additional_dependencies are not taken over: what is installed here counts"
            self._found.leave(self._id, reason)
        return made

    def _own(self) -> dict[str, Any]:
        """Return the description of a hook whose command is here."""
        language = text(self._hook.get("language"), "language", "system")
        if language not in _INSTALLED:
            raise UntranslatableError(f"its language is {language}")
        run = words(self._hook["entry"], "entry") + self._arguments()
        if "/" in run[0]:
            raise UntranslatableError(f"{run[0]} is no installed program")
        if any("${" in word for word in run):
            raise UntranslatableError("its command has a word with ${")
        if self._hook.get("pass_filenames") is False:
            if "." not in run:
                raise UntranslatableError("it is not given files (pass_filenames)")
            run = ["${dir}" if word == "." else word for word in run]
        else:
            run.append("${target}")
        return {
            "name": _UNNAMED.sub("-", self._id),
            "summary": text(self._hook.get("name"), "name")[:200],
            "files": self._files({}),
            "run": run,
            "output": {"format": "lines", "pattern": _LINE, "code": _UNNAMED.sub("-", self._id)},
            "depends": PATH if "${target}" in run else PROJECT,
        }

    def _known(self, packaged: Mapping[str, Any]) -> dict[str, Any]:
        """Return a packaged description with the arguments of the hook."""
        name = _NAMED.get(self._id, self._id)
        if name not in packaged:
            raise UntranslatableError("its entry is in another repository")
        made: dict[str, Any] = {**packaged[name]}
        arguments = [*_checked(self._arguments(), _OPTIONS.get(name, "").split())]
        made["run"] = _with_arguments(made["run"], arguments)
        made["files"] = self._files(made.get("files", {}))
        return made

    def _arguments(self) -> list[str]:
        return texts(self._hook.get("args"), "args")

    def _files(self, default: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Return the files that the hook is given; those of ``default`` if it says nothing."""
        if self._hook.get("exclude_types"):
            raise UntranslatableError("it has exclude_types")
        every = texts(self._hook.get("types"), "types")
        some = texts(self._hook.get("types_or"), "types_or")
        types = [one for one in every if one not in _OF_ALL]
        if len(types) > 1 or (types and some):
            raise UntranslatableError(f"files have several types: {', '.join([*types, *some])}")
        chosen = Chosen()
        if not _OF_ALL & {*some} and (unknown := add_types(chosen, types or some)):
            raise UntranslatableError(f"the type of files {unknown[0]} is not known")
        if not every and not some:
            given = ("languages", "include", "exclude")
            chosen = Chosen(*([*default.get(name, ())] for name in given))
        for expression in self._expressions("files"):
            globs = globs_of(expression)
            if globs is None or not chosen.within(globs):
                raise UntranslatableError(f"files cannot be said in globs: {expression}")
        for expression in self._expressions("exclude"):
            if expression == _NOTHING:
                continue
            globs = globs_of(expression)
            if not globs:
                raise UntranslatableError(f"exclude cannot be said in globs: {expression}")
            chosen.exclude += globs
        return chosen.document()

    def _expressions(self, field: str) -> Iterator[str]:
        found = (text(one.get(field), field) for one in (self._top, self._hook))
        return (one.strip() for one in found if one.strip())


def _with_arguments(run: list[str], arguments: list[str]) -> list[str]:
    """Return a command with arguments before its files and an option that has them."""
    named = (at for at, word in enumerate(run) if any(place in word for place in _PLACES))
    place = next(named, len(run))
    if run[place - 1].startswith("-"):
        place -= 1
    return [*run[:place], *arguments, *run[place:]]


def _checked(arguments: list[str], options: Collection[str]) -> Iterator[str]:
    """Yield arguments of a known hook; `UntranslatableError` for one that may change more than what
    is found: how it is printed, or the files themselves.
    """
    words_left = iter(arguments)
    for word in words_left:
        name, equals, _ = word.partition("=")
        takes_value = f"{name}=" in options
        if not takes_value and (equals or name not in options):
            raise UntranslatableError(f"the argument {word} may change more than what is found")
        yield word
        if takes_value and not equals:
            value = next(words_left, "-")
            if value.startswith("-"):
                raise UntranslatableError(f"the argument {word} has no value")
            yield value
