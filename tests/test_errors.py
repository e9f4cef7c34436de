"""Whatever is wrong with a request, a store or a machine is one line and a code, and no bug."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import OBEYING_PERMISSIONS, REPOSITORY, Outcome, Scanned, run_cli

from codebatch.model.errors import EXIT_CODES
from codebatch.model.shortage import shortage_of

Main = Callable[..., Outcome]
LONG = "x" * 5_000
EVERYWHERE = ("status", "verify", "gc", "store-stats", "diagnose", "batches", "snapshots")


def error_of(done: Outcome) -> dict[str, Any]:
    """The error that a command has printed as JSON, on one line, without a traceback."""
    found: dict[str, Any] = json.loads(done.stdout)["error"]
    assert "\n" not in found["message"]
    assert b"Traceback" not in done.stderr
    return found


@pytest.mark.parametrize("command", [*EVERYWHERE, "scan ."])
def test_a_store_whose_name_is_too_long(command: str, main: Main) -> None:
    done = main(*command.split(), "--store", LONG, "--json")
    assert (done.code, error_of(done)["code"]) == (2, "USAGE")
    assert len(done.stdout) < 1_000


# `diagnose` says what there is without a store, too.
@pytest.mark.sample(6)
@pytest.mark.parametrize("command", [one for one in EVERYWHERE if one != "diagnose"])
@pytest.mark.parametrize("where", [(), ("--store", "store")])
def test_a_current_folder_that_was_removed(
    command: str, where: tuple[str, ...], tmp_path: Path
) -> None:
    def leave_it() -> None:
        os.chdir(tmp_path)
        tmp_path.rmdir()

    done = run_cli(command, *where, "--json", preexec_fn=leave_it)
    assert (done.code in (2, 4), error_of(done)["code"] != "") == (True, True)


@pytest.mark.sample(3)
@pytest.mark.parametrize("folder", ["", "batches", "snapshots", "indexes", "leases", "objects"])
def test_a_folder_of_a_store_that_nobody_may_read(folder: str, scanned_copy: Scanned) -> None:
    """A command can do without it, or says that it cannot."""
    place = scanned_copy.path / folder
    place.chmod(0)
    try:
        for command in ("gc", "store-stats", "scan"):
            words = [command, scanned_copy.tree] if command == "scan" else [command]
            store = ("--store", scanned_copy.path, "--json")
            done = run_cli(*words, *store, before=OBEYING_PERMISSIONS)
            assert done.code in (0, 1, 4), (command, done)
            if done.code == 4:
                assert "ermission" in error_of(done)["message"]
    finally:
        place.chmod(0o755)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "[" * 100_000, "true", "-1"])
def test_numbers_that_are_none(number: str, scanned_copy: Scanned, main: Main) -> None:
    folder = scanned_copy.store.directory.layout.batch_document(scanned_copy.batch.id).parent
    (folder / "plan.json").write_text(f'{{"digest": "sha256:0", "format": {number}}}')
    done = main("status", "--store", scanned_copy.path, "--json")
    assert (done.code, error_of(done)["code"]) == (4, "STORE_DAMAGED")


def test_no_room_at_all(scanned_copy: Scanned) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    for words in (["sql", "VALUES (1)"], ["scan", scanned_copy.tree], ["gc"], ["status"]):
        done = run_cli(*words, "--store", scanned_copy.path, "--json", preexec_fn=limit)
        assert done.code in (0, 4), done
        assert done.code == 0 or error_of(done)["code"]


def test_what_a_machine_is_short_of() -> None:
    short = [
        MemoryError(),
        OSError(24, "Too many open files"),
        OSError(11, "Resource temporarily unavailable"),
        OSError(27, "File too large"),
        RuntimeError("can't start new thread"),
        ImportError("libx.so: failed to map segment from shared object"),
        FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"),
    ]
    assert all(shortage_of(error, memory_is_limited=False) for error in short)
    other = [RuntimeError("no"), ImportError("no module"), FileNotFoundError(2, "no", "x")]
    assert not any(shortage_of(error, memory_is_limited=False) for error in other)


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    page = (REPOSITORY / "docs/commands.md").read_text(encoding="utf-8")
    table = page.partition("## Exit codes")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    assert [int(row) for row in rows[2:]] == list(EXIT_CODES)
