"""The root command and its subcommands.

A command lives in a module of `codebatch.cli.commands` and is listed in the table here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from codebatch.cli import streams
from codebatch.cli.group import CommandTable, ReportingGroup, reporting
from codebatch.model.version import __version__

# Each command with the module it is in and its name there. A command is imported when it is
# used, so that none pays for what another needs.
_COMMANDS = {
    "api": "describe:api_command",
    "batch": "batches:batch_group",
    "batches": "batches:batches",
    "diagnose": "diagnose:diagnose",
    "diff": "compare:diff",
    "errors": "records:errors",
    "explain": "explain:explain",
    "export": "export:export",
    "files": "views:files",
    "gc": "garbage:gc",
    "improvements": "compare:improvements_command",
    "init": "stores:init",
    "inspect": "inspect:inspect",
    "memo": "memo:memo_group",
    "pipeline": "pipelines:pipeline",
    "pipelines": "pipelines:pipelines",
    "plan": "plan:plan",
    "query": "records:query",
    "regressions": "compare:regressions_command",
    "resume": "runs:resume",
    "run": "runs:run",
    "scan": "runs:scan",
    "shards": "views:shards",
    "show": "show:show",
    "snapshot": "snapshots:snapshot",
    "snapshots": "snapshots:snapshots",
    "sql": "sql:sql",
    "status": "status:status",
    "store-stats": "stats:store_stats",
    "summary": "views:summary",
    "tasks": "views:tasks",
    "top": "top:top",
    "verify": "verify:verify",
}


@click.group(
    "codebatch",
    cls=ReportingGroup,
    commands=CommandTable({n: f"codebatch.cli.commands.{place}" for n, place in _COMMANDS.items()}),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="codebatch")
@click.option("--no-color", is_flag=True, help="No colours; NO_COLOR says the same.")
@click.pass_context
def cli(ctx: click.Context, no_color: bool) -> None:
    """Snapshot a codebase, run pipelines over it, query the results.

    Start with: codebatch scan DIR
    """
    if no_color or os.environ.get("NO_COLOR"):
        ctx.color = False
    elif os.environ.get("FORCE_COLOR"):
        ctx.color = True


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    streams.plug()
    with reporting(as_json=False):
        cli.main(args=None if arguments is None else list(arguments), prog_name="codebatch")
