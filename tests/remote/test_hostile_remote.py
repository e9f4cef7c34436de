"""What whoever may write to a remote can put there: it is refused, and the run ends right."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from conftest import TREE, run_cli, write_tree

import codebatch
from codebatch.model.errors import MissingExtraError, RemoteDamagedError
from codebatch.remote.index import INDEX_BYTES, Index, ListedPack, index_bytes, parse_index
from codebatch.store.objects.compression import compress

FILES = {name: TREE[name] for name in ("pkg/cart.py", "web/app.js", "LICENSE")}
ALL = {"computed": len(FILES), "reused": 0, "quarantined": 0}
ZEROS = compress(bytes(2**28))  # 256 MiB in 16 KiB
HEX = "ab" * 32


def tar_of(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def segment(*entries: object) -> tuple[str, bytes]:
    data = compress(msgpack.packb(list(entries)))
    return f"memo/3/{hashlib.sha256(data).hexdigest()}.memo", data


def entry(lines: bytes) -> list[object]:
    return [bytes(32), lines, [lines.count(b"\n"), {}, {}, {}, {}], [], "batch-0"]


def pax(records: bytes, times: int = 1) -> bytes:
    """Headers of headers: each says that it describes the next."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    block = info.tobuf(tarfile.USTAR_FORMAT) + records.ljust(-(-len(records) // 512) * 512, b"\0")
    return block * times + tar_of(("memo/3/x", b""))


PACKS: dict[str, Callable[[], bytes]] = {
    "no archive": lambda: b"neither tar nor anything",
    "nothing": lambda: bytes(10240),
    "absolute name": lambda: tar_of(("/tmp/planted", b"x")),
    "name that leads out": lambda: tar_of(("memo/../../planted", b"x")),
    "link": lambda: tar_of((f"objects/{HEX}.zst", b""), kind=tarfile.SYMTYPE),
    "device": lambda: tar_of((f"objects/{HEX}.zst", b""), kind=tarfile.CHRTYPE),
    "object of other bytes": lambda: tar_of((f"objects/{HEX}.zst", compress(b"other"))),
    "object that is no frame": lambda: tar_of((f"objects/{HEX}.zst", b"raw")),
    "object that unpacks to much": lambda: tar_of((f"objects/{HEX}.zst", ZEROS)),
    "many that unpack to much": lambda: tar_of(
        *((f"objects/{number:064x}.zst", ZEROS) for number in range(40))
    ),
    "segment that unpacks to much": lambda: tar_of((f"memo/3/{HEX}.memo", ZEROS)),
    "segment of another name": lambda: tar_of((f"memo/3/{HEX}.memo", segment(entry(b""))[1])),
    "segment of no entries": lambda: tar_of(segment("not an entry")),
    "segment with wrong counts": lambda: tar_of(segment(entry(b"no record\n"))),
    "deep folder": lambda: tar_of((f"memo/0123/{HEX}.memo", b"")),
    "headers of headers": lambda: pax(b"12 path=abc\n", 5000),
    "header that lies": lambda: pax(b"99999999 path=abc\n"),
    "a size of much": lambda: pax(b"22 size=99999999999999\n"),
}


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "few", FILES)


class Runs:
    """Runs over a tree in new stores with a remote, whose index lists what it is told."""

    def __init__(self, few: Path) -> None:
        self.few = few
        self.remote = few.parent / "remote"
        self.notices: list[str] = []
        self.first = self()
        self.honest = parse_index((self.remote / "index").read_bytes())

    def __call__(self) -> codebatch.RunReport:
        number = len(list(self.few.parent.iterdir()))
        store = codebatch.open_store(self.few.parent / f"store{number}", create=True)
        batch = store.batch(store.snapshot(self.few), "parse")
        self.notices.clear()
        return batch.run("sync", memo=self.remote, on_notice=self.notices.append)

    def plant(self, data: bytes) -> None:
        """List a pack of these bytes alone, for all keys."""
        digest = hashlib.sha256(data).hexdigest()
        joined = b"".join(pack.joined for pack in self.honest.packs)
        for path in self.remote.glob("pack-*"):
            path.unlink()
        listed = ListedPack(digest, len(data), joined)
        (self.remote / listed.name).write_bytes(data)
        (self.remote / "index").write_bytes(index_bytes(Index((listed,))))


@pytest.fixture
def runs(few: Path) -> Runs:
    return Runs(few)


USUAL = ("absolute name", "link", "many that unpack to much", "headers of headers", "nothing")
EVERY = [pytest.param(name, marks=[] if name in USUAL else [pytest.mark.slow]) for name in PACKS]


@pytest.mark.parametrize("name", EVERY)
def test_a_pack_with_the_right_digest(runs: Runs, name: str) -> None:
    data = PACKS[name]()
    runs.plant(data)
    before = {path for path in runs.few.parent.iterdir() if "store" not in path.name}
    tracemalloc.start()
    found = runs()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.files, found.result) == (ALL, runs.first.result)
    assert len(runs.notices) == 1
    assert {path for path in runs.few.parent.iterdir() if "store" not in path.name} == before
    assert peak < 2**26 + 4 * len(data)
    assert runs().files["computed"] == 0  # the push has left it out of the index


def test_a_pack_larger_than_the_index_says(runs: Runs) -> None:
    data = tar_of(segment(entry(b"")))
    runs.plant(data)
    index = parse_index((runs.remote / "index").read_bytes())
    listed = ListedPack(index.packs[0].digest, len(data) - 1, index.packs[0].joined)
    (runs.remote / "index").write_bytes(index_bytes(Index((listed,))))
    assert runs().result == runs.first.result
    assert len(runs.notices) == 1


def test_a_pack_that_has_not_what_the_index_says(runs: Runs) -> None:
    runs.plant(tar_of(segment([bytes([7]) * 32, b"", [0, {}, {}, {}, {}], [], "batch-0"])))
    found = runs()
    assert (found.files, found.result) == (ALL, runs.first.result)
    assert "has not what the index says" in runs.notices[0]


def framed(raw: bytes) -> bytes:
    frame = compress(raw)
    return b"codebatch-memo 1\n" + hashlib.sha256(frame).digest() + frame


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(7),
        bytes(8 + 43),
        bytes(8 + 32) + (1).to_bytes(8, "little") + b"\xff\xff\xff\xff",
        bytes(INDEX_BYTES + 1),
    ],
)
def test_an_index_that_is_none(runs: Runs, raw: bytes) -> None:
    (runs.remote / "index").write_bytes(framed(raw))
    with pytest.raises(RemoteDamagedError):
        parse_index(framed(raw))
    assert runs().result == runs.first.result
    assert len(runs.notices) == 1


def test_an_index_with_very_many_packs_is_given_up_in_bounded_time(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = runs.honest.packs[0].joined
    packs = tuple(ListedPack(f"{number:064x}", 9, joined) for number in range(20_000))
    (runs.remote / "index").write_bytes(index_bytes(Index(packs)))
    monkeypatch.setattr("codebatch.batch.sharing._MOST_SECONDS", 0.0)
    assert runs().result == runs.first.result
    assert any("too long" in text for text in runs.notices)


def test_names_of_a_remote_are_shown_inert(few: Path, tmp_path: Path) -> None:
    place = tmp_path / "re\x1b[31mmote"
    place.write_text("")
    done = run_cli("scan", few, "--store", tmp_path / "s", "--memo", place)
    assert done.code == 0
    assert "\x1b" not in done.err


def test_a_bucket_without_the_package(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "codebatch.remote.bucket", raising=False)
    with pytest.raises(MissingExtraError, match="obstore"):
        codebatch.scan(few, tmp_path / "s", memo="s3://bucket/prefix")
    assert not (tmp_path / "s").exists()


def test_a_folder_needs_no_package(few: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['obstore'] = None; import codebatch, json\n"
        "report = codebatch.scan(sys.argv[1], sys.argv[2], scheduler='sync', memo=sys.argv[3])[1]\n"
        "print(json.dumps([report.files['computed'], 'urllib.request' in sys.modules]))\n"
    )
    words = [sys.executable, "-c", code, few, tmp_path / "s", tmp_path / "remote"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [12, False]
