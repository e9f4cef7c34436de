"""A remote in a bucket, on a server of this machine that speaks the protocol of S3."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import TREE, write_tree

import codebatch
from codebatch.model.errors import RemoteError

pytestmark = pytest.mark.oracle

pytest.importorskip("obstore")
moto_server = pytest.importorskip("moto.server")

FILES = {name: TREE[name] for name in ("pkg/cart.py", "web/app.js", "LICENSE")}
SECRET = "wJalrXUtnFEMI-K7MDENG"


@dataclass
class Bucket:
    """A bucket of a server, whose requests are counted; ``fails`` answers all with a status."""

    url: str
    memo: str
    asked: list[str] = field(default_factory=list)
    fails: str = ""


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    bucket = Bucket("", "")
    inner = moto_server.DomainDispatcherApplication(moto_server.create_backend_app)

    def counting(environ: dict[str, str], start: object) -> object:
        if not environ["PATH_INFO"].startswith("/moto-api"):
            bucket.asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if bucket.fails:
            start(bucket.fails, [("Content-Length", "0")])  # type: ignore[operator]
            return [b""]
        return inner(environ, start)

    from werkzeug.serving import make_server  # noqa: PLC0415 - comes with moto

    made = make_server("127.0.0.1", 0, counting, threaded=True)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    bucket.url = f"http://127.0.0.1:{made.server_port}"
    yield bucket
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def bucket(server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    settings = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ALLOW_HTTP": "true",
        "CODEBATCH_MEMO_TIMEOUT": "2",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    server.memo, server.fails = "s3://team-results/code/batch", ""
    reset = urllib.request.Request(f"{server.url}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    put(server, "/team-results")
    server.asked.clear()
    return server


def put(bucket: Bucket, path: str, data: bytes | None = None) -> None:
    made = urllib.request.Request(f"{bucket.url}{path}", data, method="PUT")
    made.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=x/20300101/us-east-1/s3/aws4")
    made.add_header("Content-Type", "application/octet-stream")
    urllib.request.urlopen(made).close()


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "few", FILES)


def scan(tree: Path, store: Path, memo: str) -> codebatch.RunReport:
    return codebatch.scan(tree, store, scheduler="sync", memo=memo)[1]


def kinds(bucket: Bucket) -> list[str]:
    return [line.split("-results")[0].split(" ")[0] for line in bucket.asked]


def test_a_second_machine_computes_only_what_is_new(
    bucket: Bucket, few: Path, tmp_path: Path
) -> None:
    first = scan(few, tmp_path / "a", bucket.memo)
    assert kinds(bucket) == ["GET", "PUT", "PUT"]
    assert bucket.asked[0] == "GET /team-results/code/batch/index"
    bucket.asked.clear()
    second = scan(few, tmp_path / "b", bucket.memo)
    assert kinds(bucket) == ["GET", "GET"]
    assert (second.files["computed"], second.result) == (0, first.result)
    write_tree(few, {"pkg/new.py": "x = 1\n"})
    third = scan(few, tmp_path / "c", bucket.memo)
    assert third.files == {"computed": 4, "reused": 12, "quarantined": 0}
    assert third.result == scan(few, tmp_path / "d", "").result


def test_pushes_at_once_lose_nothing(bucket: Bucket, few: Path, tmp_path: Path) -> None:
    stores, results = [], {}
    for number in range(4):
        text = f"value = {number}\n"
        write_tree(few, {"pkg/cart.py": text})
        results[text] = scan(few, tmp_path / f"s{number}", "").result
        stores.append(codebatch.open_store(tmp_path / f"s{number}"))
    threads = [threading.Thread(target=one.push_memo, args=(bucket.memo,)) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (text, result) in enumerate(results.items()):
        write_tree(few, {"pkg/cart.py": text})
        found = scan(few, tmp_path / f"t{number}", bucket.memo)
        assert (found.files["computed"], found.result) == (0, result)


@pytest.mark.parametrize("number", [1, 2], ids=["pack", "index"])
def test_what_is_larger_than_it_may_be_is_written_anew(
    bucket: Bucket, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("codebatch.remote.shared.INDEX_BYTES", 2**12)
    first = scan(few, tmp_path / "a", bucket.memo)
    put(bucket, bucket.asked[number].split(" ")[1], bytes(2**17))
    second = scan(few, tmp_path / "b", bucket.memo)
    assert (second.files, second.result) == (first.files, first.result)
    assert scan(few, tmp_path / "c", bucket.memo).files["computed"] == 0


def test_push_prune_and_pull(bucket: Bucket, few: Path, tmp_path: Path) -> None:
    scan(few, tmp_path / "a", "")
    store = codebatch.open_store(tmp_path / "a")
    assert store.push_memo(bucket.memo).packs == 1
    assert store.push_memo(bucket.memo, prune=True).removed == 0
    assert store.push_memo(bucket.memo, max_bytes=1).removed == 1
    assert store.push_memo(bucket.memo, max_bytes=2**30).packs == 1
    other = codebatch.open_store(tmp_path / "b", create=True)
    assert other.pull_memo(bucket.memo).results == 12


@pytest.mark.parametrize("status", ["403 Forbidden", "500 Failed", "503 Slow Down"])
def test_a_server_that_fails_costs_time_alone(
    bucket: Bucket, few: Path, tmp_path: Path, status: str
) -> None:
    first = scan(few, tmp_path / "a", bucket.memo)
    bucket.fails = status
    assert scan(few, tmp_path / "b", bucket.memo).result == first.result
    with pytest.raises(RemoteError) as caught:
        codebatch.open_store(tmp_path / "b").push_memo(bucket.memo)
    assert SECRET not in str(caught.value.as_document())
    assert "AKIA" not in str(caught.value.as_document())


def test_a_bucket_that_is_not_there(bucket: Bucket, few: Path, tmp_path: Path) -> None:
    notices: list[str] = []
    store = codebatch.open_store(tmp_path / "a", create=True)
    batch = store.batch(store.snapshot(few), "parse")
    assert batch.run("sync", memo="s3://nobodys/x", on_notice=notices.append).status == "done"
    assert len(notices) == 1
    assert "no such bucket" in notices[0]


def test_a_server_that_is_away(few: Path, tmp_path: Path, bucket: Bucket) -> None:
    code = (
        "import codebatch, os, sys\n"
        "os.environ['AWS_ENDPOINT_URL'] = 'http://127.0.0.1:9'\n"
        "print(codebatch.scan(sys.argv[1], sys.argv[2], scheduler='sync', memo='s3://a/b')[1])\n"
    )
    words = [sys.executable, "-c", code, few, tmp_path / "a"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert "[done]" in done.stdout
