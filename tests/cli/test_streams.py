"""Standard streams that take nothing, are closed, or have lost their reader."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Outcome, Scanned, cli_command, cli_environment, make_tree

import codebatch

NO_ROOM = "cannot write the output: No space left on device"
CLOSED = "cannot write the output: Bad file descriptor"
DATA = ("status", "errors", "errors --json", "errors --format jsonl", "query outputs --format csv")
MORE = ("export --format sarif", "sql VALUES(1)", "--help", "api", "diff latest latest --json")

full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


def redirected(words: str, redirections: str, store: Path | None = None) -> Outcome:
    """A command under a shell that opens and closes streams."""
    where = [] if store is None or words in ("--help", "api") else ["--store", str(store)]
    command = " ".join(map(shlex.quote, cli_command(*words.split(), *where)))
    done = subprocess.run(
        ["sh", "-c", f"{command} {redirections}"],
        env=cli_environment(),
        capture_output=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.sample(5)
@full_device
@pytest.mark.parametrize("words", [*DATA, *MORE])
def test_output_that_is_not_taken_is_an_error(words: str, scanned: Scanned) -> None:
    done = redirected(words, ">/dev/full", scanned.path)
    assert (done.code, done.said) == (2, f"error: {NO_ROOM}\n")


@pytest.mark.parametrize("words", DATA)
def test_output_that_is_closed_is_an_error(words: str, scanned: Scanned) -> None:
    done = redirected(words, ">&-", scanned.path)
    assert (done.code, done.said) == (2, f"error: {CLOSED}\n")


def test_nothing_to_write_to_a_closed_output(tmp_path: Path, scanned: Scanned) -> None:
    """And no file that is opened gets its number, for something else to be printed there."""
    target = tmp_path / "errors.json"
    done = redirected(f"errors --format json:{target}", ">&-", scanned.path)
    assert (done.code, done.err) == (0, "")
    assert json.loads(target.read_text())


@full_device
@pytest.mark.parametrize("broken", [">/dev/full", ">&-"])
def test_an_error_that_stdout_does_not_take_is_said_on_stderr(
    broken: str, scanned: Scanned
) -> None:
    done = redirected("errors --batch nope --json", broken, scanned.path)
    assert (done.code, done.err.splitlines()[0]) == (4, "error: no batch nope in the store")


@full_device
@pytest.mark.parametrize("broken", ["2>/dev/full", "2>&-", "2>&- <&-"])
@pytest.mark.parametrize("scheduler", ["sync", pytest.param("processes", marks=pytest.mark.slow)])
def test_messages_that_are_not_taken_stop_nothing(
    broken: str, scheduler: str, tmp_path: Path
) -> None:
    make_tree(tmp_path / "tree")
    words = f"scan {tmp_path / 'tree'} --scheduler {scheduler} --json"
    done = redirected(words, broken, tmp_path / "store")
    assert done.code == 0
    report = json.loads(done.stdout)
    assert (report["status"], report["shards"]["failed"]) == ("done", 0)
    assert codebatch.open_store(tmp_path / "store").batches()[0]["result"] == report["result"]


@full_device
@pytest.mark.parametrize("broken", ["2>/dev/full", "2>&-"])
def test_a_lost_message_does_not_change_the_exit_code(broken: str, scanned: Scanned) -> None:
    assert redirected("errors --batch nope", broken, scanned.path).code == 4
    assert redirected("errors --nope", broken, scanned.path).code == 2
    assert redirected("errors", f">/dev/full {broken}", scanned.path).code == 2


def test_all_streams_closed(tmp_path: Path) -> None:
    """The work is done; only what is to be printed fails."""
    make_tree(tmp_path / "tree")
    done = redirected(f"scan {tmp_path / 'tree'}", "<&- >&- 2>&-", tmp_path / "store")
    assert done == Outcome(2, b"", b"")
    assert codebatch.open_store(tmp_path / "store").verify(read_data=True).ok


def reading_slowly(words: Sequence[object]) -> tuple[int, bytes]:
    """Exit code and output of a command whose stdout does not block."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with subprocess.Popen(cli_command(*words), env=cli_environment(), stdout=writer) as process:
        os.close(writer)
        time.sleep(1)  # long enough to fill the pipe; if it is not, nothing is tried here
        with open(reader, "rb") as stream:
            data = stream.read()
    return process.returncode, data


def test_a_stdout_that_does_not_block_gets_everything(library: Path, tmp_path: Path) -> None:
    batch, _ = codebatch.scan(library / "email", tmp_path / "s", scheduler="threads")
    code, data = reading_slowly(["query", "outputs", "--json", "--store", tmp_path / "s"])
    assert (code, len(json.loads(data))) == (0, len(list(batch.records())))


def test_closed_pipe_is_no_error(library: Path, tmp_path: Path) -> None:
    codebatch.scan(library / "email", tmp_path / "s", scheduler="threads", pipeline="full")
    for words in ("query outputs", "query outputs --json", "files --json"):
        reading = subprocess.Popen(
            cli_command(*words.split(), "--store", tmp_path / "s"),
            env=cli_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert reading.stdout
        assert reading.stderr
        assert reading.stdout.read(10)
        reading.stdout.close()
        assert Outcome(0, b"", reading.stderr.read()).said == ""
        assert reading.wait(timeout=240) == 0, words
        reading.stderr.close()


def test_pipe_that_is_closed_from_the_start(scanned: Scanned) -> None:
    for words in ("status", "--help", "--version", "errors --json"):
        reader, writer = os.pipe()
        os.close(reader)
        where = [] if words.startswith("--") else ["--store", str(scanned.path)]
        done = subprocess.run(
            cli_command(*words.split(), *where),
            env=cli_environment(),
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
        os.close(writer)
        assert (done.returncode, Outcome(0, b"", done.stderr).said) == (0, ""), words
