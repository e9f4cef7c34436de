"""Pushes that die at any step, many at once, and runs on a cluster."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import Cluster, connected_client, two_workers
from conftest import TREE, write_tree
from faults import Server
from webremote import serving

import codebatch
from codebatch.remote.index import parse_index

pytestmark = pytest.mark.slow

cluster = pytest.fixture(scope="module")(two_workers)
client = pytest.fixture(connected_client)
FILES = {name: TREE[name] for name in ("pkg/cart.py", "web/app.js", "LICENSE")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "few", FILES)


def scan(
    tree: Path, store: Path, memo: object, notices: list[str] | None = None
) -> codebatch.RunReport:
    opened = codebatch.open_store(store, create=True)
    batch = opened.batch(opened.snapshot(tree), "parse")
    return batch.run("sync", memo=memo, on_notice=(notices if notices is not None else []).append)


@pytest.mark.parametrize("action", ["kill", "tear", "ENOSPC", "EIO"])
def test_a_push_that_fails_at_any_step(
    few: Path, tmp_path: Path, server: Server, action: str
) -> None:
    """A push that merges sixteen small packs and removes them stops at each of its steps."""
    before = tmp_path / "before"
    for number in range(16):
        write_tree(few, {"pkg/new.py": f"x = {number}\n"})
        scan(few, tmp_path / f"one{number}", before)
    write_tree(few, {"pkg/new.py": "y = 1\n"})
    second = scan(few, tmp_path / "two", "")
    for at in itertools.count(1):
        remote = tmp_path / f"remote{at}"
        shutil.copytree(before, remote)
        words = ("memo", "push", remote, "--store", tmp_path / "two")
        done = server.run(*words, at=at, action=action, root=remote)
        notices: list[str] = []
        found = scan(few, tmp_path / f"after{at}", remote, notices)
        assert (found.result, notices) == (second.result, [])
        assert found.files["computed"] in (0, 1)
        again = server.run(*words, root=remote)
        assert again.code == 0, again
        assert scan(few, tmp_path / f"last{at}", remote).files["computed"] == 0
        if done.code == 0 and len(done.steps) < at:
            break
        if action in ("ENOSPC", "EIO"):
            assert done.code in (0, 4), done
    assert at > 16


PUSHER = """
import sys
from pathlib import Path
import codebatch
from codebatch.remote import shared
shared._SMALL_PACKS = 3
base, number, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
tree = base / f"tree{number}"
(tree / "pkg").mkdir(parents=True)
notices = []
for turn in range(rounds):
    (tree / "pkg/a.py").write_text(f"value = {turn}\\n")
    (tree / "pkg/b.py").write_text(f"value = {number}, {turn}\\n")
    store = codebatch.open_store(base / f"store{number}-{turn}", create=True)
    batch = store.batch(store.snapshot(tree), "parse")
    shared_ = batch.run("sync", memo=base / "remote", on_notice=notices.append)
    (tree / "pkg/b.py").write_text(f"value = {number}, {turn}\\n")
    other = codebatch.open_store(base / f"alone{number}-{turn}", create=True)
    alone = other.batch(other.snapshot(tree), "parse").run("sync", memo="")
    assert shared_.result == alone.result
print(sorted(set(notices)))
"""


def test_many_push_and_merge_at_once(tmp_path: Path) -> None:
    """Whoever merges removes what others may be about to read; nothing is lost or damaged."""
    pushers, rounds = 3, 12
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PUSHER, tmp_path, str(number), str(rounds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(pushers)
    ]
    for process in running:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert all("damaged" not in text for text in out.splitlines())
    remote = tmp_path / "remote"
    listed = {pack.name for pack in parse_index((remote / "index").read_bytes()).packs}
    assert listed <= {path.name for path in remote.glob("pack-*")}
    for number, turn in itertools.product(range(pushers), range(rounds)):
        tree = write_tree(
            tmp_path / "again",
            {"pkg/a.py": f"value = {turn}\n", "pkg/b.py": f"value = {number}, {turn}\n"},
        )
        found = scan(tree, tmp_path / f"cold{number}-{turn}", remote)
        assert found.files["computed"] == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no command openssl")
def test_a_certificate_is_looked_at(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = tmp_path / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    files = ("-keyout", tmp_path / "key.pem", "-out", pem)
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + (tmp_path / "key.pem").read_bytes())
    with serving(pem) as web:
        notices: list[str] = []
        scan(few, tmp_path / "one", web.url, notices)
        assert "its certificate is not trusted" in notices[0]
        assert web.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        scan(few, tmp_path / "two", web.url, notices)
        assert scan(few, tmp_path / "three", web.url, notices).files["computed"] == 0
        assert len(notices) == 1


@pytest.mark.parametrize("transport", ["shared", "shipped"])
def test_a_cluster_computes_what_the_client_does_not_find(
    transport: str, cluster: Cluster, client: Any, few: Path, tmp_path: Path
) -> None:
    memo = tmp_path / "remote"

    def run(store: str) -> codebatch.RunReport:
        opened = codebatch.open_store(tmp_path / store, create=True)
        batch = opened.batch(opened.snapshot(few), "full")
        report: codebatch.RunReport = batch.run(client=client, transport=transport, memo=memo)
        return report

    first = run("one")
    assert first.files["computed"] == 4 * len(FILES)
    assert first.memo is not None
    assert first.memo["written"]["results"] == 4 * len(FILES)
    write_tree(few, {"pkg/new.py": "x = 1\n"})
    assert run("two").files == {"computed": 4, "reused": 4 * len(FILES), "quarantined": 0}
    assert run("three").files["computed"] == 0
