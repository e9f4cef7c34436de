"""How ``--help`` reads: examples first, options under headings, whole sentences."""

from __future__ import annotations

from collections.abc import Mapping

import click

from codebatch.cli.examples import EXAMPLES

_PLAIN = "Options"
# The options that stand under a heading of their own, by name, or name and metavar.
_HEADINGS: Mapping[str, str] = {
    name: heading
    for heading, names in {
        _PLAIN: "",
        "Which files": "--include --exclude --no-ignore --max-file-size --no-cache --staged --rev",
        "Which records": (
            "--task=TASK --kind --severity --code --path --language --name=GLOB --symbol-type "
            "--edge-type --target --metric --min --max"
        ),
        "How to run": (
            "--scheduler --workers --file-timeout --memory-limit --transport --cluster-timeout "
            "--performance-report --require-reused --retry-quarantined --detach --recompute "
            "--sample --replace --shards"
        ),
        "Output": (
            "--sort --limit --all --plain --stat --format --fail-on --fail-on-stale --max-new "
            "--json --quiet --help"
        ),
    }.items()
    for name in names.split()
}
_ORDER = (_PLAIN, *dict.fromkeys(_HEADINGS.values()))
_WHOLE = 1_000  # letters: more than a first sentence has


def write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write the options of a command under their headings."""
    rows: dict[str, list[tuple[str, str]]] = {heading: [] for heading in _ORDER}
    for option in command.get_params(ctx):
        record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
        if record is not None:
            rows[_heading_of(option)].append(record)
    for heading, records in rows.items():
        if records:
            with formatter.section(heading):
                formatter.write_dl(records)


def _heading_of(option: click.Parameter) -> str:
    name = option.opts[-1]
    return _HEADINGS.get(f"{name}={option.metavar}") or _HEADINGS.get(name, _PLAIN)


def write_examples(ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the command lines that show how a command is used."""
    with formatter.section("Examples"):
        for line in EXAMPLES[_name_of(ctx)]:
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def _name_of(ctx: click.Context) -> str:
    """Return all words of a command's name below our root, which may be below another's."""
    return ctx.command_path.rpartition("codebatch ")[2]


def write_commands(
    formatter: click.HelpFormatter, heading: str, commands: Mapping[str, click.Command]
) -> None:
    """Write the commands below a heading with the first sentence of their help, which is whole."""
    rows = [(name, summary_of(one)) for name, one in commands.items()]
    with formatter.section(heading):
        formatter.write_dl(rows)


def summary_of(command: click.Command) -> str:
    """Return the first sentence of a command's help."""
    return command.get_short_help_str(_WHOLE)
