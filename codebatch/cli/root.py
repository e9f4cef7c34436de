"""The root command and its subcommands.

A command lives in a module of `codebatch.cli.commands` and is listed in the table here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from codebatch.cli import streams
from codebatch.cli.group import CommandTable, SectionedGroup, reporting
from codebatch.cli.render.pager import NO_PAGER
from codebatch.model.errors import UsageError
from codebatch.model.version import __version__

# The headings of `codebatch --help`, each with its commands: the module that a command is in and
# its name there. A command is imported when it is used, so that none pays for what another needs.
SECTIONS = {
    "Start here": {
        "scan": "scan:scan",
        "summary": "results:summary",
        "errors": "results:errors",
    },
    "Look at results": {
        "inspect": "inspect:inspect",
        "tree": "source:tree",
        "cat": "source:cat",
        "top": "answers:top",
        "query": "results:query",
        "sql": "answers:sql",
        "files": "results:files",
        "tasks": "results:tasks",
        "shards": "results:shards",
        "skipped": "skipped:skipped",
        "snapshots": "listings:snapshots",
        "batches": "listings:batches",
        "names": "names:names",
        "show": "stored:show",
        "explain": "plans:explain",
        "export": "export:export",
        "report": "report:report",
    },
    "Compare batches": {
        "check": "check:check",
        "baseline": "baseline:baseline_group",
        "diff": "compare:diff",
        "regressions": "compare:regressions_command",
        "improvements": "compare:improvements_command",
        "history": "history:history",
        "blame": "history:blame",
    },
    "Run step by step": {
        "init": "stored:init",
        "snapshot": "stored:snapshot",
        "batch": "stored:batch_group",
        "name": "names:name_group",
        "sarif": "sarif:sarif_group",
        "plan": "plans:plan",
        "run": "runs:run",
        "resume": "runs:resume",
        "status": "status:status",
    },
    "Change files": {
        "apply": "apply:apply",
    },
    "Write tasks": {
        "task": "authoring:task_group",
        "tools": "tools:tools",
        "tool": "tools:tool_group",
        "pipelines": "plans:pipelines",
        "pipeline": "plans:pipeline",
    },
    "Keep a store": {
        "verify": "keep:verify",
        "gc": "keep:gc",
        "memo": "keep:memo_group",
        "store-stats": "keep:store_stats",
        "store": "upgrade:store_group",
        "diagnose": "diagnose:diagnose",
        "config": "config:config_group",
        "api": "describe:api_command",
    },
}
_PLACES = {
    name: f"codebatch.cli.commands.{place}"
    for section in SECTIONS.values()
    for name, place in section.items()
}


@click.group(
    "codebatch",
    cls=SectionedGroup,
    commands=CommandTable(_PLACES),
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="codebatch")
@click.option("--no-color", is_flag=True, help="No colours; NO_COLOR says the same.")
@click.option(
    "--no-pager",
    is_flag=True,
    help="No pager for what is longer than the screen; CODEBATCH_PAGER=cat says the same.",
)
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(),
    help="The configuration to use, and to trust. Default: $CODEBATCH_CONFIG, else the nearest "
    "codebatch.toml, or pyproject.toml with tool.codebatch, from here upwards.",
)
@click.option("--no-config", is_flag=True, help="Use no configuration file.")
@click.pass_context
def cli(
    ctx: click.Context, no_color: bool, no_pager: bool, config_file: str | None, no_config: bool
) -> None:
    """Snapshot a codebase, run pipelines over it, query the results.

    Start with: codebatch scan DIR
    """
    if config_file is not None and no_config:
        raise UsageError("--config names a file, and --no-config says to use none: give one")
    if no_color or os.environ.get("NO_COLOR"):
        ctx.color = False
    elif os.environ.get("FORCE_COLOR"):
        ctx.color = True
    ctx.meta[NO_PAGER] = no_pager


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    streams.plug()
    with reporting(as_json=False):
        cli.main(args=None if arguments is None else list(arguments), prog_name="codebatch")
