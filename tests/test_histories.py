"""Histories of real packages: equal to scans of checkouts, whatever way they were walked, and after
being killed at any moment.
"""

from __future__ import annotations

import csv
import io
import os
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import Note, cli_command, cli_environment
from histories import Repository, click_releases, file_by_file, one_by_one, two_branches
from repositories import git
from verifier import verify_store

import codebatch

pytestmark = pytest.mark.slow

# A seed of one's own: HISTORY_SEED=1 pytest …
SEED = int(os.environ.get("HISTORY_SEED", "20261130"))
KILLS = 8
COMMITS = 60


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return one_by_one(tmp_path_factory.mktemp("releases") / "tree", click_releases())


@pytest.fixture(scope="module")
def portions(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return file_by_file(tmp_path_factory.mktemp("portions") / "tree", click_releases(), COMMITS)


def scans(repository: Repository, commits: Sequence[str], folder: Path) -> dict[str, Any]:
    """Batch, result and counts by code of a clean scan of the checkout of each commit."""
    found = {}
    for commit in commits:
        tree = folder / commit
        git(repository.folder, "worktree", "add", "-q", "--detach", str(tree), commit)
        batch, report = codebatch.scan(tree, folder / "stores" / commit, scheduler="sync")
        summary: Any = batch.summary()
        found[commit] = (batch.id, report.result, summary["diagnostics"]["by_code"])
    return found


def test_twenty_releases_are_those_of_scans_of_checkouts(
    releases: Repository, tmp_path: Path
) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    found = store.history(releases.folder, tags=True)
    expected = scans(releases, releases.commits, tmp_path / "clean")
    said = {one.commit: (one.batch_id, one.result, dict(one.counts.by_code)) for one in found}
    assert said == expected
    assert [tag for one in found for tag in one.tags] == [*releases.tags]
    verify_store(store.path)


def test_a_history_killed_at_any_moment_goes_on(
    portions: Repository, tmp_path: Path, note: Note
) -> None:
    clean = _numbers(portions, tmp_path / "clean")
    dice = random.Random(SEED)
    place, killed = tmp_path / "store", 0
    pauses = [dice.uniform(0.2, 3.0) for _ in range(KILLS)]
    for pause in pauses:
        command = cli_command("history", *_words(portions, place))
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, env=cli_environment(), **quiet)
        time.sleep(pause)
        if process.poll() is None:
            killed += 1
            process.kill()
        process.wait()
    note(f"HISTORY_SEED={SEED}: killed {killed} times")
    assert killed
    assert _numbers(portions, place) == clean
    verify_store(place)
    assert codebatch.open_store(place).verify(read_data=True).problems == ()


def _words(repository: Repository, store: Path) -> tuple[object, ...]:
    wanted = ("--every", 1, "--metric", "complexity:max", "--metric", "sloc", "--changes")
    return (repository.folder, "--store", store, *wanted, "--format", "csv")


def _numbers(repository: Repository, store: Path) -> list[dict[str, str]]:
    """What a history comes to, run to its end by itself."""
    command = cli_command("history", *_words(repository, store))
    done = subprocess.run(command, env=cli_environment(), capture_output=True, check=True)
    return list(csv.DictReader(io.StringIO(done.stdout.decode())))


def test_blame_finds_each_finding_where_scans_say_it_came(tmp_path: Path) -> None:
    """The oracle: going back along first parents, or into what was merged, the last scan that has
    a finding of that code and fingerprint.
    """
    repository = two_branches(tmp_path / "tree", click_releases("8.1.8", "8.2.0", "8.3.0"))
    store = codebatch.open_store(tmp_path / "store", create=True)
    found = store.history(repository.folder, every=1)
    findings = {
        one.commit: {
            (record["code"], record["fingerprint"])
            for record in store.find_batch(one.batch_id).records(kind="diagnostic")
        }
        for one in found
    }
    newest = store.find_batch(found.revisions[-1].batch_id)
    places = [
        (f"{record['path']}:{record['line']}:{record['code']}", record)
        for record in newest.records(kind="diagnostic")
    ]
    alone = [place for place, _ in places]
    first, second, mainline, side, merge = repository.commits
    for place, record in places:
        if alone.count(place) > 1:
            continue
        key = record["code"], record["fingerprint"]
        chain = [merge, mainline if key in findings[mainline] else side, second, first]
        expected = merge
        for commit in chain[1:]:
            if key not in findings[commit]:
                break
            expected = commit
        blamed = store.blame(place, repository.folder)
        assert blamed.commit.hash == expected, place
        assert (blamed.merge is not None) == (expected == side), place
