"""A description of a program: which files it is given, how it is run, what its output says.

The schema ``config.tool`` says what the fields mean and which values they have by default; a
description is at the same time the settings of a task, so that its key covers all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from codebatch.model.resources import load_schema

SCHEMA = "config.tool"
CONTENT, PATH, SIBLINGS, PROJECT = "content", "path", "siblings", "project"


@dataclass(frozen=True)
class Description:
    """A description with every default filled in; the fields are those of the schema."""

    name: str
    summary: str
    link: str
    install: Mapping[str, str]
    files: Mapping[str, list[str]]
    run: list[str]
    output: Mapping[str, Any]
    severities: Mapping[str, str]
    success_codes: list[int]
    error_codes: list[int]
    batch: int
    depends: str
    siblings: list[str]
    version_command: list[str]
    direct_configs: list[str]
    code_configs: list[str]
    read_configs: list[str]
    config_files: Mapping[str, str]
    environment: list[str]
    variables: Mapping[str, str]
    timeout: int
    memory_limit: int
    max_bytes: int

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Description:
        """Return the description that a valid document gives."""
        properties = cast("Mapping[str, Any]", load_schema(SCHEMA)["properties"])
        names = (field.name for field in fields(cls))
        found = cls(**{n: document.get(n, properties[n]["default"]) for n in names})
        # Settings of a tree are about its paths.
        is_about_paths = found.depends == CONTENT and found.read_configs
        return replace(found, depends=PATH) if is_about_paths else found

    @property
    def settings(self) -> dict[str, bytes]:
        """The files of configuration that the tool sees, by path."""
        return {path: text.encode() for path, text in self.config_files.items()}

    @property
    def program(self) -> str:
        """The name of the program."""
        return self.run[0]
