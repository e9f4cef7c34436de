"""Plugins of trunk: the linters of ``linters/*/plugin.yaml`` as descriptions.

A linter is one or more commands, each a description of its own. Types of files are defined in
``plugin.yaml`` of all linters, or in that of one. Where results may be kept is what trunk keeps:
others are run over the whole tree, until ``tool certify`` says that less is enough.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from codebatch.tasks.tools.description import PATH, PROJECT
from codebatch.tasks.tools.imports.chosen import Chosen, add_types
from codebatch.tasks.tools.imports.found import (
    VARIABLE,
    Imported,
    UntranslatableError,
    entries,
    substituted,
    text,
    texts,
    words,
)
from codebatch.tasks.tools.imports.outputs import TRUNK_OUTPUTS, TRUNK_SEVERITIES, line_pattern
from codebatch.tasks.tools.imports.patterns import globs_of
from codebatch.tasks.tools.imports.yaml_text import read_yaml

PLUGIN_FILE = "plugin.yaml"
_VARIABLES = {
    "target": "${target}",
    "tmpfile": "${output}",
    "workspace": "${dir}",
    "root": "${dir}",
}
_FROM = {"stdout": "stdout", "stderr": "stderr", "tmp_file": "file"}
_INSTALLERS = {"python": "pip", "node": "npm", "go": "go", "ruby": "gem", "rust": "cargo"}
_ROOTS = {
    *("", ".", "${workspace}", "${root_or_parent_with_direct_config}"),
    "${root_or_parent_with_any_config}",
}
_SECONDS = {"s": 1, "m": 60, "h": 3600}
# Fields that ask for what there is not here, with the reason.
_REFUSED = {
    "parser": "its output goes through a program of the plugin",
    "prepare_run": "another command is run before it",
    "stdin": "it reads the file from stdin",
    "query_compile_commands": "it needs a compilation database",
    "run_linter_from": "it runs from a folder that trunk looks for",
    "run_from_root_file": "it runs from a folder that trunk looks for",
}


def import_trunk(texts_by_path: Mapping[str, bytes], packaged: Collection[str]) -> Imported:
    """Return what the plugins say, each text a ``plugin.yaml`` by its path; `ToolImportError` for
    one that is no YAML. ``packaged`` are the tools that have a description already.
    """
    found = Imported()
    plugins = [read_yaml(data, path) for path, data in sorted(texts_by_path.items())]
    sections = [one["lint"] for one in plugins if isinstance(one.get("lint"), dict)]
    types: dict[str, dict[str, Any]] = {}
    for section in sections:
        with found.leaving("files"):
            types |= {str(one.get("name")): one for one in entries(section.get("files"), "files")}
    sources = [("tools", plugin) for plugin in plugins if isinstance(plugin.get("tools"), dict)]
    packages: dict[str, dict[str, Any]] = {}
    for name, plugin in sources:
        with found.leaving(name):
            listed = entries(plugin[name].get("definitions"), "definitions")
            packages |= {str(one.get("name")): one for one in listed}
    for section in sections:
        with found.leaving("definitions"):
            for linter in entries(section.get("definitions"), "definitions"):
                _Linter(found, types, packages, packaged).translate(linter)
    return found


class _Linter:
    """The translation of one linter."""

    def __init__(
        self,
        found: Imported,
        types: Mapping[str, dict[str, Any]],
        packages: Mapping[str, dict[str, Any]],
        packaged: Collection[str],
    ) -> None:
        self._found = found
        self._types = types
        self._packages = packages
        self._packaged = packaged

    def translate(self, linter: dict[str, Any]) -> None:
        """Add the descriptions of its commands, and what is left of them."""
        name = str(linter.get("name"))
        with self._found.leaving(name):
            commands = entries(linter.get("commands"), "commands") or [{}]
            labels = {str(command.get("name", "")) for command in commands}
            for command in commands:
                label = str(command.get("name", ""))
                several = len(labels) > 1 and label
                self._command(f"{name}-{label}" if several else name, {**linter, **command})

    def _command(self, name: str, command: dict[str, Any]) -> None:
        version = command.get("version")
        shown = name if version is None else f"{name} ({version})"
        try:
            self._found.add(self._description(name, command))
        except UntranslatableError as error:
            tool = name.removesuffix("-lint")
            own = f"; there is one packaged: --tool {tool}" if tool in self._packaged else ""
            self._found.leave(shown, f"{error}{own}")

    def _description(self, name: str, command: dict[str, Any]) -> dict[str, Any]:
        _check_supported(command)
        run = self._run(command)
        output, severities = _output(command)
        is_of_file = command.get("cache_results") is True or output["format"] == "rewrite"
        described = {
            "name": name,
            "summary": text(command.get("description"), "description")[:200],
            "install": self._install(command),
            "files": self._files(texts(command.get("files"), "files")),
            "run": run,
            "output": output,
            "batch": 1_000_000 if command.get("batch") is True else 1,
            "depends": PATH if is_of_file else PROJECT,
            **_codes(command),
            **_configs(command),
            **_environment(command),
            **_limits(command),
        }
        if severities:
            described["severities"] = severities
        version = command.get("version_command")
        if isinstance(version, dict) and "run" in version:
            described["version_command"] = words(version["run"], "version_command")
        return described

    def _run(self, command: dict[str, Any]) -> list[str]:
        target = text(command.get("target"), "target", "${file}")
        if target not in ("${file}", "."):
            raise UntranslatableError(f"its target is {target}")
        given = command.get("run", command.get("command"))
        run = [substituted(word, _variable) for word in words(given, "command")]
        if target == ".":
            run = ["${dir}" if word == "${target}" else word for word in run]
        if any("${target}" in word and word != "${target}" for word in run):
            raise UntranslatableError("${target} is a part of a word")
        if target != "." and "${target}" not in run:
            raise UntranslatableError("its command does not name the file")
        return run

    def _install(self, command: dict[str, Any]) -> dict[str, str]:
        named = texts(command.get("tools"), "tools")
        package = next((self._packages[one] for one in named if one in self._packages), command)
        installer = _INSTALLERS.get(str(package.get("runtime")))
        what = package.get("package")
        return {installer: what} if installer and isinstance(what, str) and what else {}

    def _files(self, names: list[str]) -> dict[str, list[str]]:
        if not names:
            raise UntranslatableError("it is given no files")
        if "ALL" in names:
            return {}
        chosen = Chosen()
        for name in add_types(chosen, names):
            chosen.include.extend(self._globs(name, ()))
        return chosen.document()

    def _globs(self, name: str, seen: tuple[str, ...]) -> Iterator[str]:
        """Yield the globs of a type of files, with those of what it inherits."""
        known = self._types.get(name)
        if known is None or name in seen:
            raise UntranslatableError(f"the type of files {name} is not defined")
        if "required_yaml_keys" in known:
            raise UntranslatableError(f"the type of files {name} is one of content")
        for other in texts(known.get("inherit"), "inherit"):
            yield from self._globs(other, (*seen, name))
        yield from (f"*.{one}" for one in texts(known.get("extensions"), "extensions"))
        yield from texts(known.get("filenames"), "filenames")
        for expression in texts(known.get("regexes"), "regexes"):
            globs = globs_of(expression)
            if not globs:
                raise UntranslatableError(f"the type of files {name} has the pattern {expression}")
            yield from globs


def _check_supported(command: Mapping[str, Any]) -> None:
    for field, reason in _REFUSED.items():
        if command.get(field):
            raise UntranslatableError(f"{reason} ({field})")
    if command.get("deprecated"):
        raise UntranslatableError("it is deprecated")
    if command.get("enabled") is False:
        raise UntranslatableError("it is switched off")
    if command.get("run_when") == ["lsp"]:
        raise UntranslatableError("it runs in editors alone")
    platforms = texts(command.get("platforms"), "platforms")
    if platforms and not {"linux", "macos"} & {*platforms}:
        raise UntranslatableError(f"it is for {', '.join(platforms)}")
    folder = text(command.get("run_from"), "run_from")
    configs = {f"${{root_or_parent_with({one})}}" for one in _config_names(command)}
    if folder not in _ROOTS | configs:
        raise UntranslatableError(f"it runs from {folder}, tools here from the root of the tree")


def _variable(name: str) -> str:
    if name not in _VARIABLES:
        raise UntranslatableError(f"${{{name}}} stands for nothing here")
    return _VARIABLES[name]


def _output(command: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return how the output is read, and the severities that its words stand for."""
    form = text(command.get("output", command.get("type")), "output")
    place = text(command.get("read_output_from"), "read_output_from", "stdout")
    if place not in _FROM:
        raise UntranslatableError(f"its output is read from {place}")
    source = {} if place == "stdout" else {"from": _FROM[place]}
    if form == "sarif":
        return {"format": "sarif", **source}, {}
    if form == "rewrite":
        if command.get("in_place") is not True:
            raise UntranslatableError("it prints the new text of a file")
        return {"format": "rewrite"}, {}
    if form == "regex":
        pattern = line_pattern(text(command.get("parse_regex"), "parse_regex"))
        return {"format": "lines", "pattern": pattern, **source}, TRUNK_SEVERITIES
    known = TRUNK_OUTPUTS.get(form)
    if known is None:
        raise UntranslatableError(f"its output {form} is read by trunk itself")
    output, severities = known
    if "path" not in output.get("fields", {"path": ""}) and command.get("batch") is True:
        raise UntranslatableError(f"its output {form} does not name the file")
    return {**output, **source}, severities


def _codes(command: Mapping[str, Any]) -> dict[str, list[int]]:
    succeeded, failed = command.get("success_codes"), command.get("error_codes")
    if succeeded is not None:
        return {"success_codes": succeeded}
    return {} if failed is None else {"success_codes": [], "error_codes": failed}


def _config_names(command: Mapping[str, Any]) -> list[str]:
    fields = ("direct_configs", "affects_cache")
    return [*dict.fromkeys(one for field in fields for one in texts(command.get(field), field))]


def _configs(command: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the files of configuration: nobody has looked at what they may have the tool do."""
    return {"code_configs": [name for name in _config_names(command) if "/" not in name]}


def _environment(command: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that are passed on, and those that are set; every tool has ``PATH``."""
    passed, given = [], {}
    for one in entries(command.get("environment"), "environment"):
        name = text(one.get("name"), "environment")
        values = texts(one.get("list"), "environment") or [text(one.get("value"), "environment")]
        if name == "PATH":
            continue
        if values == [f"${{env.{name}}}"]:
            passed.append(name)
        elif not any(map(VARIABLE.search, values)):
            given[name] = ":".join(values)
        elif one.get("optional") is not True:
            raise UntranslatableError(f"its variable {name} is {':'.join(values)}")
    return {"environment": [*dict.fromkeys(passed)], "variables": given}


def _limits(command: Mapping[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    timeout = re.fullmatch(r"([0-9]{1,6})([smh])", str(command.get("run_timeout", "")))
    if timeout:
        found["timeout"] = int(timeout[1]) * _SECONDS[timeout[2]]
    size = command.get("maximum_file_size")
    if isinstance(size, int):
        found["max_bytes"] = size
    return found
