"""The root command and its subcommands."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click

from codebatch import __version__
from codebatch.cli.batches import batch_group, batches
from codebatch.cli.compare import diff, improvements_command, regressions_command
from codebatch.cli.describe import api_command, explain
from codebatch.cli.export import export
from codebatch.cli.group import ReportingGroup, reporting
from codebatch.cli.inspect import inspect
from codebatch.cli.pipelines import pipeline, pipelines
from codebatch.cli.records import errors, query
from codebatch.cli.runs import resume, run, scan
from codebatch.cli.show import show
from codebatch.cli.snapshots import snapshot, snapshots
from codebatch.cli.sql import sql
from codebatch.cli.stores import init
from codebatch.cli.top import top
from codebatch.cli.views import files, shards, status, summary, tasks


@click.group(
    "codebatch",
    cls=ReportingGroup,
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a narrow encoding escapes what it lacks
            stream.reconfigure(errors="backslashreplace")


for _command in (
    *(scan, init, snapshot, snapshots, batch_group, batches, run, resume, status, summary),
    *(tasks, shards, files, errors, query, pipelines, pipeline),
    *(diff, regressions_command, improvements_command),
    *(top, sql),
    *(inspect, show, api_command, explain),
    export,
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open to the end
    with reporting(as_json=False):
        cli.main(args=None if arguments is None else list(arguments), prog_name="codebatch")
