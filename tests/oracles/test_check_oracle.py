"""``check`` between commits of a real history says what ruff finds in checkouts of both.

The history is that of click from 8.0 to 8.3, release by release; the last one is a merge of two
branches. ruff runs by itself in clean checkouts. Of its findings (path, rule, text of the line)
those are new that the head has more often than the base, and those fixed that it has less often.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import random
import subprocess
from collections import Counter
from pathlib import Path

import histories
import jsonschema
import pytest
from conftest import Note, write_tree
from official import official_schema
from repositories import git, without_own_settings

import codebatch
from codebatch.compare.diff import Finding
from codebatch.export import sarif

pytestmark = pytest.mark.oracle
RULES = {"F401": "L101", "F841": "L102"}
RUFF = ["ruff", "check", "--isolated", "--no-cache", "--exit-zero", "--output-format=json"]
PAIRS = 80

Findings = Counter[tuple[str, str, str]]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> histories.Repository:
    folder = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patch:
        without_own_settings(folder / "home", patch)
        return histories.two_branches(folder / "click", histories.click_releases())


@pytest.fixture(scope="module")
def by_ruff(
    history: histories.Repository, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Findings]:
    """What ruff finds in a checkout of each commit."""
    checkout = tmp_path_factory.mktemp("checkouts") / "click"
    git(history.folder, "worktree", "add", "-q", "--detach", str(checkout))
    found = {}
    for commit in history.commits:
        git(checkout, "checkout", "-q", "--detach", commit)
        found[commit] = _run_ruff(checkout)
    git(history.folder, "worktree", "remove", "--force", str(checkout))
    return found


def _run_ruff(folder: Path) -> Findings:
    words = [*RUFF, f"--select={','.join(RULES)}", "."]
    done = subprocess.run(words, cwd=folder, check=True, capture_output=True)
    found: Findings = Counter()
    for item in json.loads(done.stdout):
        if item["code"] in RULES:
            path = os.path.relpath(item["filename"], folder)
            line = (folder / path).read_text().splitlines()[item["location"]["row"] - 1]
            found[path, RULES[item["code"]], " ".join(line.split())] += 1
    return found


def counted(findings: tuple[Finding, ...], store: codebatch.Store, batch: str) -> Findings:
    """The same of our own, with the lines of the batch that they are of."""
    of = store.find_batch(batch)
    records = [one.record for one in findings if one.record["code"] in RULES.values()]
    texts = {path: of.lines(path) for path in {str(record["path"]) for record in records}}
    return Counter(
        (
            *(str(record["path"]), str(record["code"])),
            " ".join(texts[str(record["path"])][int(str(record["line"])) - 1].split()),
        )
        for record in records
    )


def test_any_two_commits(
    history: histories.Repository, by_ruff: dict[str, Findings], tmp_path: Path, note: Note
) -> None:
    seed = int(os.environ.get("PAIRS_SEED", "1"))
    pairs = [*itertools.permutations(history.commits, 2)]
    chosen = [*itertools.pairwise(history.commits), *random.Random(seed).sample(pairs, PAIRS)]
    store = codebatch.open_store(tmp_path / "store", create=True)
    seen: Counter[str] = Counter()
    for base, head in chosen:
        report = store.check(history.folder, base, rev=head, scheduler="sync")
        assert report.base is not None
        assert counted(report.new, store, report.head) == by_ruff[head] - by_ruff[base]
        assert counted(report.fixed, store, report.base) == by_ruff[base] - by_ruff[head]
        seen += Counter(new=len(report.new), fixed=len(report.fixed), pairs=1)
    assert min(seen["new"], seen["fixed"]) > PAIRS
    note(f"{seen['pairs']} pairs of commits, {seen['new']} new, {seen['fixed']} fixed, seed {seed}")


def test_the_merge_base_is_the_default(
    history: histories.Repository, by_ruff: dict[str, Findings], tmp_path: Path
) -> None:
    """On the side branch, what it has that the commit before the fork has not."""
    *_, fork, half, side, _ = history.commits
    git(history.folder, "checkout", "-q", "side")
    git(history.folder, "branch", "-f", "main", half)
    store = codebatch.open_store(tmp_path / "store", create=True)
    report = store.check(history.folder, environ={}, scheduler="sync")
    assert report.base_commit == fork
    assert counted(report.new, store, report.head) == by_ruff[side] - by_ruff[fork]
    git(history.folder, "branch", "-f", "main", history.commits[-1])


def test_sarif_of_many_findings_is_valid_and_fits(tmp_path: Path) -> None:
    """30,000 new warnings and errors: what GitHub takes of them is the most severe, with a note."""
    tree, store = tmp_path / "tree", codebatch.open_store(tmp_path / "store", create=True)
    write_tree(tree, {"w00.py": "x = 1\n"})
    base = store.batch(store.snapshot(tree))
    imports = "".join(f"import m{n}\n" for n in range(1_000))
    files: dict[str, str | bytes] = {f"w{n:02}.py": imports for n in range(30)}
    files |= {f"bad{n}.py": "def (:\n" for n in range(9)}
    write_tree(tree, files)
    report = store.check(tree, base)
    assert len(report.new) == 30_009
    stream = io.BytesIO()
    told = report.export("sarif", stream)
    schema = official_schema(
        b"oasis-tcs/sarif-spec", lambda it: "2.1.0" in it.get("title", "") and "$id" in it
    )
    document = json.loads(stream.getvalue())
    jsonschema.validators.validator_for(schema)(schema).validate(document)
    (run,) = document["runs"]
    assert len(run["results"]) == sarif.MAX_RESULTS
    assert len(gzip.compress(stream.getvalue())) < sarif.MAX_COMPRESSED_BYTES
    assert sum(result["level"] == "error" for result in run["results"]) == 9
    assert {result["baselineState"] for result in run["results"]} == {"new"}
    assert {*run["results"][0]["partialFingerprints"]} == {"codebatch/v1"}
    assert run["properties"]["leftOut"]["total"] == 5_009
    assert any("5,009 of 30,009 results are left out" in note for note in told.notes)
