"""A verifier of stores by the text of `SPEC.md` alone: it imports no code of the project.

`verify_store` recomputes, from the files of a store alone, every id and digest that the
specification defines, whatever the store holds: finished batches, unfinished ones, snapshots
without batches. It raises `AssertionError` or the error of a parser at the first thing that is
wrong, and says how much it has looked at.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zlib
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Verifier:
    """One store, read by the rules of the specification."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def sealed(self, name: str) -> dict[str, Any]:
        """A sealed document, its digest recomputed."""
        data = (self.root / name).read_bytes()
        document: dict[str, Any] = json.loads(data)
        body = {key: value for key, value in document.items() if key != "digest"}
        assert document["digest"] == tagged("sealed", body), name
        one_line = b'{"digest":"%b",%b\n' % (document["digest"].encode(), canonical(body)[1:])
        assert data in (indented(document) + b"\n", one_line), name
        return document

    def object(self, digest: str) -> bytes:
        """The bytes of an object, checked against its name."""
        name = digest.removeprefix("sha256:")
        path = self.root / "objects" / "sha256" / name[:2] / name[2:4] / name
        compressed = path.with_name(name + ".zst")
        if name in self.packed and not path.exists() and not compressed.exists():
            pack, start, size = self.packed[name]
            with pack.open("rb") as stream:
                stream.seek(start)
                data = frame_content(stream.read(size))
        else:
            data = self.data(str(compressed if compressed.exists() else path))
        assert sha256(data) == digest
        return data

    @cached_property
    def packed(self) -> dict[str, tuple[Path, int, int]]:
        """The objects in packs: which one, where in it, how many bytes."""
        found = {}
        for index in sorted((self.root / "objects" / "packs").glob("[0-9a-f]*.idx")):
            data, pack = index.read_bytes(), index.with_suffix(".pack")
            assert sha256(data) == f"sha256:{index.stem}"
            lines = [data[at : at + 89].decode() for at in range(0, len(data), 89)]
            assert all(re.fullmatch(r"[0-9a-f]{64} \d{12} \d{10}\n", line) for line in lines)
            assert lines == sorted({line[:64]: line for line in lines}.values())
            places = {name: (int(start), int(size)) for name, start, size in map(str.split, lines)}
            end = 0
            for start, size in sorted(places.values()):
                assert start == end
                end += size
            assert end == pack.stat().st_size
            found.update({name: (pack, *place) for name, place in places.items()})
        return found

    def data(self, name: str) -> bytes:
        """The bytes of a file, which is compressed if its name says so."""
        path = self.root / name
        stored = path.read_bytes()
        return frame_content(stored) if path.suffix == ".zst" else stored

    def outputs(self, shard: str, size: int) -> str:
        """The outputs in the folder of a shard; a store of version 2 has none of no records."""
        plain = f"{shard}/outputs.index.jsonl"
        if self.sealed("store.json")["version"] == 1:
            return plain
        assert (self.root / f"{plain}.zst").exists() == (size > 0)
        return f"{plain}.zst" if size else "/dev/null"

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The documents of an index, each line of which must be canonical."""
        documents = []
        for line in self.data(name).splitlines(keepends=True):
            documents.append(json.loads(line))
            assert line == canonical(documents[-1]) + b"\n"
        return documents


def frame_content(stored: bytes) -> bytes:
    """What a compressed object holds: one frame, and nothing but its checksum behind it."""
    decompressor = zstd.ZstdDecompressor()
    data: bytes = decompressor.decompress(stored)
    assert decompressor.eof
    assert stored[4] & 0b11011 == 0
    frame = stored[: len(stored) - len(decompressor.unused_data)]
    numbers = (0x184D2A5C, 4, zlib.crc32(frame))
    checksum = b"".join(number.to_bytes(4, "little") for number in numbers)
    assert decompressor.unused_data in (b"", checksum)
    return data


def indented(value: object, level: int = 0) -> bytes:
    """The layout for people, written out by hand; without the line feed at the end."""
    if not value or not isinstance(value, dict | list):
        return canonical(value)
    if isinstance(value, dict):
        parts = [canonical(k) + b": " + indented(value[k], level + 1) for k in sorted(value)]
    else:
        parts = [indented(element, level + 1) for element in value]
    opening, closing = (b"{", b"}") if isinstance(value, dict) else (b"[", b"]")
    line = b"\n" + b" " * level
    return opening + line + b" " + (b"," + line + b" ").join(parts) + line + closing


def canonical(value: object) -> bytes:
    """Canonical JSON, written out by hand."""
    if isinstance(value, dict):
        pairs = (canonical(key) + b":" + canonical(value[key]) for key in sorted(value))
        return b"{" + b",".join(pairs) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    if isinstance(value, str):
        return b'"' + b"".join(map(_character, value)) + b'"'
    if isinstance(value, bool) or value is None:
        return {True: b"true", False: b"false", None: b"null"}[value]
    assert isinstance(value, int), "identities hold no floats"
    return str(value).encode()


def _character(character: str) -> bytes:
    short = {
        '"': '\\"',
        "\\": "\\\\",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
    }
    if character in short:
        return short[character].encode()
    number = ord(character)
    if number < 0x20 or 0xD800 <= number <= 0xDFFF:
        return f"\\u{number:04x}".encode()
    return character.encode()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tagged(tag: str, value: object) -> str:
    return sha256(tag.encode() + b"\n" + canonical(value))


def short(prefix: str, digest: str) -> str:
    return f"{prefix}-{digest.removeprefix('sha256:')[:16]}"


def name_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def check_shard(
    store: Verifier, task: str, shard_id: str, members: list[dict[str, Any]]
) -> dict[str, list[list[str]]]:
    """Check outputs and state of a shard; the leaves of the result tree that it holds."""
    name = f"{task}/shards/{shard_id}"
    state = store.sealed(f"{name}/state.json")
    outputs = store.outputs(name, state["size"])
    data, records = store.data(outputs), store.lines(outputs)
    assert state["status"] == "done"
    assert (state["outputs"], state["size"]) == (sha256(data), len(data))
    members = sorted(members, key=lambda file: name_bytes(file["path"]))
    paths = [file["path"] for file in members]
    assert [r["path"] for r in records] == sorted((r["path"] for r in records), key=paths.index)
    _check_values(store, records)
    leaves: dict[str, list[list[str]]] = {}
    for file, counts in zip(members, state["per_file"], strict=True):
        own = [record for record in records if record["path"] == file["path"]]
        kinds = Counter(record["kind"] for record in own)
        assert counts == [len(own), kinds["diagnostic"]]
        lines = b"".join(canonical(record) + b"\n" for record in own)
        leaves.setdefault(file["object"][7:10], []).append([file["path"], sha256(lines)])
    nodes = fold({p: tagged("result-leaf", files) for p, files in leaves.items()}, len(shard_id))
    assert nodes == {shard_id: state["tree"]}
    assert state["counts"]["records"] == len(records)
    assert state["counts"]["by_kind"] == Counter(record["kind"] for record in records)
    assert state["computed"] + state["reused"] == state["files"] == len(members)
    return leaves


def _check_values(store: Verifier, records: list[dict[str, Any]]) -> None:
    """The objects that records refer to are there and whole."""
    for record in records:
        if record["kind"] == "ast":
            value = store.object(record["object"])
            for chunk in json.loads(value)["chunks"] if record.get("chunked") else ():
                store.object(chunk)


def fold(nodes: dict[str, str], depth: int) -> dict[str, str]:
    while nodes and len(next(iter(nodes))) > depth:
        parents: dict[str, list[list[str]]] = {}
        for prefix, digest in sorted(nodes.items()):
            parents.setdefault(prefix[:-1], []).append([prefix[-1], digest])
        nodes = {prefix: tagged("result-node", children) for prefix, children in parents.items()}
    return nodes


def verify_store(root: Path) -> Counter[str]:
    """Check everything in the store, and count what was checked."""
    store = Verifier(root)
    assert store.sealed("store.json")["format"] == "codebatch-store"
    checked: Counter[str] = Counter()
    for path in sorted((root / "objects" / "sha256").glob("*/*/[0-9a-f]*")):
        store.object(f"sha256:{path.name.removesuffix('.zst')}")
        checked["objects"] += 1
    for name in store.packed:
        store.object(f"sha256:{name}")
        checked["packed objects"] += 1
    for path in sorted((root / "names").glob("*")):
        named = store.sealed(f"names/{path.name}")
        assert named.keys() == {"digest", "id", "name", "set"}
        assert named["name"] == path.name
        kind = "snapshots" if named["id"].startswith("snap-") else "batches"
        assert list((root / kind / named["id"]).glob("*.json")), named
        checked["names"] += 1
    for path in sorted((root / "snapshots").glob("snap-*/snapshot.json")):
        _verify_snapshot(store, path.parent.name)
        checked["snapshots"] += 1
    for path in sorted((root / "batches").glob("batch-*/batch.json")):
        checked["batches"] += 1
        checked["states"] += _verify_batch(store, path.parent.name)
    return checked


def _verify_snapshot(store: Verifier, snapshot_id: str) -> None:
    name = f"snapshots/{snapshot_id}/files.index.jsonl"
    assert snapshot_id == short("snap", sha256((store.root / name).read_bytes()))
    files = store.lines(name)
    document = store.sealed(f"snapshots/{snapshot_id}/snapshot.json")
    assert document["snapshot_id"] == snapshot_id
    assert document["file_count"] == len(files)
    assert document["total_bytes"] == sum(file["size"] for file in files)
    paths = [name_bytes(file["path"]) for file in files]
    assert paths == sorted(set(paths))
    for file in files:
        assert len(store.object(file["object"])) == file["size"], file


def _verify_batch(store: Verifier, batch_id: str) -> int:
    """Check a batch, finished or not; how many shards of its tasks have a state."""
    batch = f"batches/{batch_id}"
    document, plan = store.sealed(f"{batch}/batch.json"), store.sealed(f"{batch}/plan.json")
    identity = [plan["snapshot_id"], plan["document"]]
    identity += [[task["fingerprint"] for task in plan["tasks"]], plan["detection"]]
    assert batch_id == short("batch", tagged("batch", identity)) == document["batch_id"]
    assert (store.root / "snapshots" / plan["snapshot_id"] / "snapshot.json").exists()
    data = (store.root / batch / "inputs.index.jsonl").read_bytes()
    states = 0
    roots: dict[str, str] = {}
    for task in plan["tasks"]:
        nodes: dict[str, str] = {}
        for shard in plan["shards"]:
            portion = data[shard["offset"] : shard["offset"] + shard["length"]]
            assert sha256(portion) == shard["digest"]
            members = [json.loads(line) for line in portion.splitlines()]
            folder = f"{batch}/tasks/{task['id']}"
            if (store.root / folder / "shards" / shard["shard_id"] / "state.json").exists():
                states += 1
                leaves = check_shard(store, folder, shard["shard_id"], members)
                nodes[shard["shard_id"]] = node_of(leaves, len(shard["shard_id"]))
        if len(nodes) == len(plan["shards"]):
            roots[task["id"]] = fold(nodes, 0)[""] if nodes else tagged("result-node", [])
    if document["result"] is not None:
        assert document["result"] == tagged("result", roots)
    return states


def node_of(leaves: dict[str, list[list[str]]], width: int) -> str:
    """The node of a shard from the files of its leaves."""
    digests = {prefix: tagged("result-leaf", files) for prefix, files in leaves.items()}
    (node,) = fold(digests, width).values()
    return node
