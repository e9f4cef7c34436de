"""``codebatch api``: the command line described by itself.

All is taken from the click commands, so that it cannot differ from what they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from codebatch.cli import command as shape
from codebatch.cli.command import Call
from codebatch.cli.examples import EXAMPLES
from codebatch.cli.group import LeadingCommand, root_command
from codebatch.cli.help_text import summary_of
from codebatch.cli.render import output
from codebatch.model.digest import Document
from codebatch.model.errors import (
    EXIT_BUG,
    EXIT_CLUSTER,
    EXIT_CODES,
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_LOCKED,
    EXIT_OK,
    EXIT_SHARDS_FAILED,
    EXIT_STORE,
    EXIT_USAGE,
)
from codebatch.model.resources import list_schemas
from codebatch.model.version import __version__

# The exit codes that a command has by one of its options: only a gate can say no; only what has
# workers runs shards, which may fail; only what takes the lock of removal and repair waits for it,
# and only a retry must be alone; a scheduler may be out of reach.
_CODES = {
    EXIT_STORE: {"--store"},
    EXIT_GATE: {"--fail-on", "--recompute", "--repair", "--require-reused"},
    EXIT_SHARDS_FAILED: {"--workers"},
    EXIT_LOCKED: {"--wait", "--retry-quarantined"},
    EXIT_CLUSTER: {"--scheduler"},
}
# The schemas of a command's JSON where they are not named after the command.
_SCHEMAS = {
    "baseline create": ("cli.baseline",),
    "baseline prune": ("cli.baseline",),
    "baseline update": ("cli.baseline",),
    "batch rm": ("cli.rm",),
    "diff": ("cli.diff", "cli.diff-rows"),
    "improvements": ("cli.regressions",),
    "memo export": ("cli.memo",),
    "memo import": ("cli.memo",),
    "query diagnostics": ("cli.errors",),
    "query edges": ("cli.query-outputs",),
    "query metrics": ("cli.query-outputs",),
    "query symbols": ("cli.query-outputs",),
    "resume": ("cli.run", "cli.detach"),
    "run": ("cli.run", "cli.recheck", "cli.detach"),
    "scan": ("cli.run", "cli.watch"),
    "snapshot rm": ("cli.rm",),
}
_ALWAYS = frozenset({EXIT_OK, EXIT_USAGE, EXIT_BUG, EXIT_INTERRUPTED})


@shape.command(name="api")
def api_command(call: Call) -> None:
    """Describe every command: arguments, options, exit codes, schema of its JSON."""
    document = describe(root_command(click.get_current_context()))
    call.write(document, _lines(document))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    commands = document["commands"]
    width = max(len(command["name"]) for command in commands)
    for command in commands:
        arguments = (
            argument["name"] if argument["required"] else f"[{argument['name']}]"
            for argument in command["arguments"]
        )
        options = (option["names"][-1] for option in command["options"])
        yield f"{command['name']:<{width}}  {command['summary']}"
        yield f"{'':<{width}}    {' '.join((*arguments, *options))}"
    yield from output.next_lines("codebatch COMMAND --help")


def iter_commands(group: click.Command, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below a group with its full name (``batch init``), sorted."""
    if not isinstance(group, click.Group):
        return
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from iter_commands(command, f"{prefix}{name} ")
            continue
        yield prefix + name, command
        if isinstance(command, LeadingCommand):
            for led, inner in sorted(command.commands.items()):
                yield f"{prefix}{name} {led}", inner


def describe(root: click.Command) -> Document:
    """Return the document of ``api --json``."""
    return {
        "name": "codebatch",
        "version": __version__,
        "help": root.help or "",
        "options": [_option(option) for option in root.params if isinstance(option, click.Option)],
        "commands": [_command(name, command) for name, command in iter_commands(root)],
        "exit_codes": [{"code": code, "meaning": text} for code, text in EXIT_CODES.items()],
    }


def schemas_of(name: str) -> tuple[str, ...]:
    """Return the names of the schemas of a command's JSON, one for each form it has."""
    schema = "cli." + name.replace(" ", "-")
    names = list_schemas()
    if schema in names:
        return _SCHEMAS.get(name, (schema,))
    return _SCHEMAS.get(name) or tuple(n for n in names if n.startswith(f"{schema}-"))


def _command(name: str, command: click.Command) -> Document:
    parameters = command.params
    return {
        "name": name,
        "summary": summary_of(command),
        "help": command.help or "",
        "examples": [*EXAMPLES[name]],
        "arguments": [_argument(p) for p in parameters if isinstance(p, click.Argument)],
        "options": [_option(p) for p in parameters if isinstance(p, click.Option)],
        "schemas": list(schemas_of(name)),
        "exit_codes": _exit_codes(command),
    }


def _argument(argument: click.Argument) -> Document:
    return {
        "name": argument.human_readable_name.strip("[]"),
        "required": argument.required,
        "multiple": argument.nargs != 1,
        **_type(argument.type),
    }


def _option(option: click.Option) -> Document:
    plain = isinstance(option.default, str | int | float)
    default = option.default if plain else False if option.is_flag else None
    return {
        "names": [*option.opts, *option.secondary_opts],
        "help": option.help or "",
        "flag": option.is_flag,
        "multiple": option.multiple,
        "required": option.required,
        "default": default,
        "metavar": option.metavar,
        **_type(option.type),
    }


def _type(kind: click.ParamType[Any]) -> Document:
    """The type by click's name, with the choices or the limits it has."""
    document: Document = {"type": kind.name}
    if isinstance(kind, click.Choice):
        document["choices"] = [str(choice) for choice in kind.choices]
    if isinstance(kind, click.IntRange | click.FloatRange):
        document["minimum"], document["maximum"] = kind.min, kind.max
    return document


def _exit_codes(command: click.Command) -> list[int]:
    names = {name for parameter in command.params for name in parameter.opts}
    return sorted({*_ALWAYS, *(code for code, options in _CODES.items() if names & options)})
