"""``codebatch scan``."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from codebatch import api
from codebatch.cli.command import ID, Call, command
from codebatch.cli.commands.names import give_name
from codebatch.cli.commands.runs import FAIL_ON, REQUIRE_REUSED, finish, run_shown, shown
from codebatch.cli.commands.stored import take
from codebatch.cli.commands.watch import (
    displayed,
    left_out,
    own_outputs,
    refuse_beside_watch,
    write_updates,
)
from codebatch.cli.options import (
    FILES_OPTIONS,
    RUN_OPTIONS,
    name_option,
    paths_argument,
    pipeline_option,
    rev_option,
    rule_settings,
    rules_options,
    shards_option,
    staged_option,
    store_option,
    tasks_options,
)
from codebatch.cli.render import output
from codebatch.cli.render.progress import Display, Row
from codebatch.model.records import DONE

if TYPE_CHECKING:
    from codebatch.batch import RunReport

_WATCH = click.option(
    "--watch",
    is_flag=True,
    help="Scan again whenever the tree changes, and print what is new and what is fixed.",
)


@command(
    paths_argument,
    pipeline_option,
    *tasks_options,
    *rules_options,
    *RUN_OPTIONS,
    REQUIRE_REUSED,
    shards_option,
    store_option,
    name_option,
    *FILES_OPTIONS,
    rev_option,
    staged_option,
    FAIL_ON,
    _WATCH,
    store=None,
    form=ID,
)
def scan(
    call: Call,
    paths: tuple[str, ...],
    pipeline: str | None,
    select_rules: list[str] | None,
    ignore_rules: list[str] | None,
    require_reused: bool,
    shards: int | None,
    name: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    no_ignore: bool,
    max_file_bytes: int,
    rev: str | None,
    staged: bool,
    fail_on: str | None,
    watch: bool,
) -> None:
    """Snapshot a tree, plan a pipeline over it and run it, in one go.

    One directory is the tree. Of several directories and files, the tree is the current folder if
    they are all in it, else the nearest one that holds them, and only they are taken.

    Where there is no store yet, one is made in .codebatch (or where --store says). A name
    is given to the batch once it is done.

    With --watch, the tree is scanned again whenever it changes, until Ctrl-C, and findings that are
    new or gone are printed; with --json there is a document on a line for each scan. Batches
    between the first and the last are removed again, unless they have a name.
    """
    scheduler, tasks = call.options["scheduler"], call.options["tasks"]
    patterns = {"include": include, "exclude": exclude}
    settings = rule_settings(select_rules, ignore_rules)
    api.check_scan(
        paths,
        pipeline,
        **patterns,
        ignore=not no_ignore,
        tasks=tasks,
        settings=settings,
        scheduler=scheduler,
        shards=shards,
        performance_report=call.options["performance_report"],
        memo=call.options["memo"],
        watch=watch,
    )
    if watch:
        refuse_beside_watch("require_reused", "fail_on", "rev", "staged")
    opened = call.open(create=True)
    if opened.created:
        output.write_note(f"made a store: {os.path.relpath(opened.path)}")
    prewarm = opened.prewarm(scheduler, call.options["workers"])

    def snapshot_shown(display: Display, same_names: Collection[bytes] = ()) -> api.Snapshot:
        snapshot, _ = take(
            opened,
            paths,
            display,
            **patterns,
            ignore=not no_ignore,
            max_file_bytes=max_file_bytes,
            rev=rev,
            staged=staged,
            same_names=same_names,
            watch=prewarm,
        )
        return snapshot

    def run(display: Display, snapshot: api.Snapshot) -> tuple[api.Batch, RunReport]:
        display.show(Row("plan"))
        batch = opened.batch(snapshot, pipeline, tasks=tasks, settings=settings, shards=shards)
        report = run_shown(call, batch, display, require_reused=require_reused)
        if report.status == DONE:
            give_name(opened, name, batch.id)
        elif name is not None:
            output.write_note(
                f"{name} is not set: codebatch name set {name} {batch.id}, once it is done"
            )
        return batch, report

    if watch:
        scans = api.Scan(
            opened,
            lambda same: displayed(call, lambda display: snapshot_shown(display, same)),
            lambda snapshot: displayed(call, lambda display: run(display, snapshot)),
            lambda: api.open_watch(paths, **patterns, ignore=not no_ignore, outputs=own_outputs()),
        )
        write_updates(call, api.follow(scans))
    with shown(call) as display:
        snapshot = snapshot_shown(display)
        batch, report = run(display, snapshot)
    finish(call, batch, report, fail_on, skipped=left_out(snapshot))
