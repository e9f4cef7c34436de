"""A remote at a server: what it is asked, and that a run ends right however it fails."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from conftest import TREE, write_tree
from webremote import Web, serving

import codebatch
from codebatch.model.errors import RemoteDamagedError, RemoteError, RemoteInvalidError

FILES = {name: TREE[name] for name in ("pkg/cart.py", "web/app.js", "LICENSE")}
ALL = {"computed": len(FILES), "reused": 0, "quarantined": 0}
NONE = {"computed": 0, "reused": len(FILES), "quarantined": 0}
FAULTS = ("cut", "cut-quietly", "damage", "slow", "drip", "endless", "500", "403", "elsewhere")
LATE = ("slow", "drip")
TOKEN = "gh-s3cr3t"

Run = Callable[..., codebatch.RunReport]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Web]:
    monkeypatch.setenv("CODEBATCH_MEMO_TIMEOUT", "60")
    monkeypatch.setenv("CODEBATCH_MEMO_TOKEN", TOKEN)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # this machine is not asked through it
    with serving() as web:
        yield web


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "few", FILES)


@pytest.fixture
def run(tmp_path: Path, few: Path, web: Web) -> Run:
    """Parse in a store, a new one by default, with the server as the remote."""
    numbers = itertools.count()

    def parse(store: str | None = None, memo: object = None) -> codebatch.RunReport:
        opened = codebatch.open_store(tmp_path / (store or f"new{next(numbers)}"), create=True)
        batch = opened.batch(opened.snapshot(few), "parse")
        web.asked.clear()
        parse.notices = []
        place = f"{web.url}/team" if memo is None else memo
        return batch.run("sync", memo=place, on_notice=parse.notices.append)

    return parse


def kinds(web: Web) -> list[str]:
    """What was asked, without digests."""
    return [f"{line.split('-')[0]}" for line in web.asked]


def test_few_requests(run: Run, few: Path, web: Web) -> None:
    first = run()
    assert first.files == ALL
    index, pack = "/team/index", "/team/pack"
    assert kinds(web) == [f"GET {index}", f"PUT {pack}", f"PUT {index}"]
    second = run("second")
    assert (second.files, second.result) == (NONE, first.result)
    assert kinds(web) == [f"GET {index}", f"GET {pack}"]
    assert run("second").files == NONE
    assert kinds(web) == []
    write_tree(few, {"pkg/new.py": "x = 1\n"})
    assert run("second").files == {**NONE, "computed": 1}
    assert kinds(web) == [f"GET {index}", f"PUT {pack}", f"PUT {index}"]


def test_the_token_is_sent_and_nowhere_else(run: Run, web: Web) -> None:
    run()
    assert {one["Authorization"] for one in web.headers} == {f"Bearer {TOKEN}"}
    with serving() as elsewhere:
        web.fault, web.elsewhere = "elsewhere", elsewhere.url
        assert run().files == ALL
        assert elsewhere.asked == []
    assert TOKEN not in "".join(run.notices)


def test_credentials_of_netrc(
    run: Run, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CODEBATCH_MEMO_TOKEN")
    run()
    assert "Authorization" not in web.headers[0]
    web.headers.clear()
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password word\n")
    run()
    assert {one["Authorization"] for one in web.headers} == {"Basic bWU6d29yZA=="}
    (tmp_path / "netrc").write_text("no netrc")
    assert run().files == ALL
    assert len(run.notices) == 1


def test_a_redirection_to_the_same_server_is_followed_without_the_token(run: Run, web: Web) -> None:
    first = run()
    web.files |= {f"/moved{path}": data for path, data in web.files.items()}
    web.fault, web.strikes = "here", "GET"
    web.headers.clear()
    assert run().result == first.result
    sent = ["Authorization" in headers for headers in web.headers]
    assert sent == [True, False, True, False]
    assert run().files == NONE


def faults(names: Iterable[str], usual: Iterable[str]) -> list[object]:
    """Each fault with the request that it strikes; all but the usual ones are slow tests."""
    index, pack = "/team/index", "/team/pack"
    return [
        pytest.param(
            name, place, marks=[] if name in usual and place == pack else [pytest.mark.slow]
        )
        for name in names
        for place in (index, pack)
    ]


@pytest.mark.parametrize(("fault", "place"), faults(FAULTS, ("cut", "damage", "slow", "500")))
def test_a_read_that_fails_costs_time_alone(
    run: Run, web: Web, fault: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run()
    before = dict(web.files)
    with monkeypatch.context() as impatient:
        if fault in LATE:
            impatient.setenv("CODEBATCH_MEMO_TIMEOUT", "0.2")
        web.fault, web.strikes = fault, f"GET {place}"
        found = run()
    assert (found.result, found.status) == (first.result, "done")
    assert found.files == ALL
    assert run.notices
    web.fault = ""
    assert run().files == NONE
    if fault not in ("damage", "cut-quietly"):
        assert web.files == before


@pytest.mark.parametrize(
    ("fault", "place"), faults(("slow", "500", "403", "elsewhere", "412"), ("403", "500"))
)
def test_a_write_that_fails_costs_time_alone(
    run: Run, web: Web, fault: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codebatch.remote.shared._FIRST_PAUSE_SECONDS", 0.0)
    with monkeypatch.context() as impatient:
        if fault in LATE:
            impatient.setenv("CODEBATCH_MEMO_TIMEOUT", "0.2")
        web.fault, web.strikes = fault, f"PUT {place}"
        found = run()
    assert (found.files, found.status) == (ALL, "done")
    assert len(run.notices) == 1
    assert TOKEN not in run.notices[0]
    assert "/team/index" not in web.files
    web.fault = ""
    assert run().result == found.result
    assert run().files == NONE


def test_a_server_that_is_away(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert run(memo=url).files == ALL
    assert len(run.notices) == 1
    assert "cannot be reached" in run.notices[0]


def test_after_a_failure_the_remote_is_left_alone(run: Run, web: Web) -> None:
    web.fault = "500"
    assert run().files == ALL
    assert len(web.asked) == 1


def test_changes_of_others_meanwhile_are_kept(run: Run, few: Path, web: Web) -> None:
    results = {}
    write_tree(few, {"pkg/cart.py": "a = 1\n"})
    results["a = 1\n"] = run("first", memo="").result
    others = codebatch.open_store(few.parent / "first")
    turns = iter([True])

    def push_meanwhile(path: str) -> None:
        if path.endswith("/index") and next(turns, False):
            others.push_memo(f"{web.url}/team")

    web.before_put = push_meanwhile
    write_tree(few, {"pkg/cart.py": "b = 1\n"})
    results["b = 1\n"] = run("second").result
    assert [line for line in kinds(web) if line == "PUT /team/index"] == ["PUT /team/index"] * 3
    web.before_put = None
    for text, result in results.items():
        write_tree(few, {"pkg/cart.py": text})
        found = run()
        assert (found.files, found.result) == (NONE, result)


def test_without_tags_the_last_writer_wins(run: Run, few: Path, web: Web) -> None:
    web.has_tags = False
    first = run()
    write_tree(few, {"pkg/cart.py": "b = 1\n"})
    run("second")
    index = web.files["/team/index"]
    write_tree(few, {"pkg/cart.py": "c = 1\n"})
    run()
    web.files["/team/index"] = index
    found = run()
    assert found.files["computed"] == 1
    write_tree(few, FILES)
    assert run().result == first.result


def test_pull_and_push_fail_where_the_server_does(run: Run, web: Web, few: Path) -> None:
    run("kept")
    store = codebatch.open_store(few.parent / "kept")
    other = codebatch.open_store(few.parent / "other", create=True)
    url = f"{web.url}/team"
    with pytest.raises(RemoteInvalidError, match="list"):
        store.push_memo(url, prune=True)
    web.fault, web.strikes = "cut", "GET /team/pack"
    with pytest.raises(RemoteError, match="in the middle"):
        other.pull_memo(url)
    web.fault = "damage"
    with pytest.raises(RemoteDamagedError):
        other.pull_memo(url)
    web.fault, web.strikes = "403", ""
    with pytest.raises(RemoteError, match="refuses access"):
        store.push_memo(url)
    web.fault = ""
    assert other.pull_memo(url).packs == 1


@pytest.mark.parametrize("removes", [True, False])
def test_packs_beyond_the_limit_are_removed_where_that_can_be(
    run: Run, web: Web, few: Path, removes: bool
) -> None:
    web.removes = removes
    run("kept")
    report = codebatch.open_store(few.parent / "kept").push_memo(f"{web.url}/team", max_bytes=1)
    assert (report.removed, report.left) == ((1, 0) if removes else (0, 1))
    assert len(web.files) == (1 if removes else 2)


def test_pushes_at_once_lose_nothing(run: Run, few: Path, web: Web) -> None:
    stores, results = [], {}
    for number in range(3):
        text = f"value = {number}\n"
        write_tree(few, {"pkg/cart.py": text})
        results[text] = run(f"s{number}", memo="").result
        stores.append(codebatch.open_store(few.parent / f"s{number}"))
    url = f"{web.url}/team"
    threads = [threading.Thread(target=one.push_memo, args=(url,)) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for text, result in results.items():
        write_tree(few, {"pkg/cart.py": text})
        found = run()
        assert (found.files, found.result) == (NONE, result)
