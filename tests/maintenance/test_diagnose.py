"""`diagnose`: what there is to work with, and each thing in the way with its remedy."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from clusters import Cluster
from conftest import OBEYING_PERMISSIONS, REPOSITORY, Outcome, Scanned

import codebatch
import codebatch.maintenance.self_test
from codebatch.maintenance.diagnose import Problem
from codebatch.maintenance.self_test.scene import SECRET, Command, Vector
from codebatch.store.leases.leases import hold_lease

Main = Callable[..., Outcome]


def codes(problems: tuple[Problem, ...]) -> list[str]:
    return [problem.code for problem in problems]


def test_nothing_is_wrong(scanned: Scanned, main: Main) -> None:
    before = sorted(scanned.path.rglob("*"))
    found = scanned.store.diagnose()
    assert found.problems == ()
    assert found.can_work
    assert found.file_system is not None
    assert found.file_system.writable
    assert found.file_system.creates_exclusively
    assert found.health is not None
    assert found.health.batches_by_status == {"done": 1}
    assert found.facts.packages["dask"]
    assert sorted(scanned.path.rglob("*")) == before
    done = main("diagnose", "--store", scanned.path)
    assert (done.code, done.out.splitlines()[-1]) == (0, "no problems found")


def test_without_a_store(tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CODEBATCH_STORE", raising=False)
    done = main("diagnose", "--json")
    document = json.loads(done.stdout)
    assert (done.code, document["store"], document["ok"]) == (0, None, True)
    assert main("diagnose", "--store", tmp_path / "none").code == 4


def test_what_is_left_over_and_who_is_at_work(scanned_copy: Scanned, main: Main) -> None:
    store = scanned_copy.store
    old = store.path / "batches/.tmp-1-ab"
    old.touch()
    os.utime(old, (0, 0))
    next(store.path.glob("snapshots/*/snapshot.json")).unlink()
    next(store.path.glob("batches/*/plan.json")).write_text("{")
    with hold_lease(store.directory.layout, "snapshot"):
        found = store.diagnose()
        shown = main("diagnose", "--store", store.path).out
    health = found.health
    assert health is not None
    assert (health.temporaries, health.unfinished, health.snapshots) == (1, 1, 0)
    assert health.batches_by_status == {"damaged": 1}
    assert [lease["live"] for lease in health.leases] == [True]
    assert codes(found.problems) == ["DAMAGED", "LEFT_OVERS"]
    assert not found.can_work
    assert "  at work: snapshot (process " in shown
    assert "error: 1 batches cannot be read" in shown


def test_a_store_that_cannot_be_written(
    store: codebatch.Store, cli: Callable[..., Outcome]
) -> None:
    store.path.chmod(0o555)
    done = cli("diagnose", "--store", store.path, "--json", before=OBEYING_PERMISSIONS)
    store.path.chmod(0o755)
    document = json.loads(done.stdout)
    assert (done.code, document["ok"]) == (0, False)
    assert [problem["code"] for problem in document["problems"]] == ["NOT_WRITABLE"]
    assert document["file_system"]["hard_links"] is None


# -- the self-test -------------------------------------------------------------------------------


def test_hostile_inputs_are_tried(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = Vector("programs", "nothing", {}, (Command("snapshots --store {store}"),))
    monkeypatch.setattr(codebatch.maintenance.self_test, "VECTORS", (planted,))
    done = main("diagnose", "--self-test", "--json")
    document = json.loads(done.stdout)
    (verdict,) = document["self_test"]
    assert (done.code, verdict["ok"], verdict["problems"]) == (0, True, [])
    assert verdict["megabytes"] > 1
    done = main("diagnose", "--self-test")
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 of 1 hostile input held off")


NOT_HELD_OFF = {
    "outside/new": "x",
    "outside/canary.py": "changed",
    "markers/ran": "",
    "store/store.json": SECRET,
}


def test_what_is_not_held_off_is_named(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = (Command("show {batch} --store {outside}"), Command("snapshots --store {store}"))
    planted = Vector("links", "everything", NOT_HELD_OFF, commands)
    monkeypatch.setattr(codebatch.maintenance.self_test, "VECTORS", (planted,))
    done = main("diagnose", "--self-test", "--json")
    (verdict,) = json.loads(done.stdout)["self_test"]
    said = "\n".join(verdict["problems"])
    assert (done.code, verdict["ok"]) == (1, False)
    for problem in ("planted code ran: ran", "changed outside: canary.py", "changed outside: new"):
        assert problem in said
    assert said.count("exit code 4") == 2
    done = main("diagnose", "--self-test")
    assert (done.code, done.out.splitlines()[-1]) == (1, "0 of 1 hostile input held off")


def test_the_table_of_vectors_names_what_there_is() -> None:
    root = REPOSITORY
    text = (root / "SECURITY.md").read_text()
    rows = re.findall(r"(?m)^\| `(\w+)` \| .* \| (.*) \| (.*) \|$", text)
    assert {kind for kind, _, _ in rows} == {
        vector.kind for vector in codebatch.maintenance.self_test.VECTORS
    }
    for _, defences, tests in rows:
        for path in re.findall(r"`([\w/]+\.py|[\w/]+/)`", defences):
            found = [root / path, root / "codebatch/store" / path]
            assert any(place.exists() for place in found), path
        for path in re.findall(r"`([\w/]+\.py)`", tests):
            assert (root / path).exists() or (root / "tests/hostile" / path).exists(), path


# -- clusters ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_real_cluster(scanned: Scanned, tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    with Cluster(tmp_path / "cluster") as cluster:
        words = ("diagnose", "--store", scanned.path, "--scheduler", cluster.scheduler_file)
        document = json.loads(cli(*words, "--json").stdout)
        assert [problem["code"] for problem in document["problems"]] == ["CLUSTER_EMPTY"]
        cluster.start_workers(1)
        done = cli(*words, "--json")
        document = json.loads(done.stdout)
        assert (done.code, document["problems"]) == (0, [])
        (worker,) = document["cluster"]["workers"].values()
        assert worker["store"] == "visible"
        assert worker["toolchain"] == document["environment"]["toolchain"]
        done = cli(*words)
        assert (done.code, done.out.splitlines()[-1]) == (0, "no problems found")
