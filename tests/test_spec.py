"""Stores are what `SPEC.md` says, by a verifier that knows nothing else (`verifier`).

It runs the command line over a small tree and then recomputes, from the files of the store alone,
every id and digest that the specification defines; it does the same with the golden stores. Every
file must be accounted for to the byte.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgpack
import pytest
from conftest import REPOSITORY
from test_golden import unpack
from verifier import (
    Verifier,
    canonical,
    check_shard,
    fold,
    name_bytes,
    sha256,
    short,
    tagged,
    verify_store,
)

from codebatch.model.resources import load_schema

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SPEC = (REPOSITORY / "SPEC.md").read_text(encoding="utf-8")

TREE = {
    b"cart.py": b"import json\nimport os\n\nclass Cart:\n    def add(self, item=b'x', *, n=1.5):\n"
    b"        return {**item, 'big': 2**3, 'at': (1, True, None, ..., 2j)}  \n",
    b"folder/twin.py": b"import os\n",
    b"twin.py": b"import os\n",
    b"broken.py": b"def broken(:\n",
    b"web/app.js": b"export const add = (a, b) => a && b ? 1 : 2;\nlet unused = `x${1}`;\n",
    b"empty.py": b"",
    b"blob.bin": b"\0" * 300,
    b"lines.txt": b"again \n" * 3,
    b"caf\xe9/n\xffme.py": b"import sys\n",
    "größe.py".encode(): "name = 'größe'  # ü\n".encode() * 30,
}


# What of the specification's examples is of which schema, by a field that only these have.
EXAMPLES = {
    "store_id": "store",
    "mode": "file",
    "file_count": "snapshot",
    "components": "task",
    "facets": "input",
    "created": "batch",
    "per_file": "state",
    "event": "event",
    "key": "verdict",
    "set": "name",
    "asked": "asked",
}


def codebatch(folder: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "codebatch", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tree and one store for each of two shard widths."""
    folder = tmp_path_factory.mktemp("spec")
    for name, content in TREE.items():
        path = os.path.join(os.fsencode(folder), b"tree", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
    (folder / "tree" / "link").symlink_to("cart.py")
    (folder / "tree" / "broken.py").chmod(0o755)
    os.mkfifo(folder / "tree" / "pipe")
    for store, shards in (("narrow", "16"), ("wide", "4096")):
        codebatch(folder, "scan", "tree", "--store", store, "--shards", shards, "--name", "main")
    for archive in ("store", "edges"):
        unpack(folder, archive).rename(folder / f"golden-{archive}")
    return folder


@pytest.fixture(scope="module", params=["narrow", "wide", "golden-store", "golden-edges"])
def store(request: pytest.FixtureRequest, folder: Path) -> Verifier:
    return Verifier(folder / request.param)


@pytest.fixture(scope="module")
def fresh(folder: Path) -> Verifier:
    """A store of the tree above, made with the tools at hand."""
    return Verifier(folder / "narrow")


@pytest.fixture(scope="module")
def fresh_summary(fresh: Verifier) -> dict[str, Any]:
    document: dict[str, Any] = codebatch(fresh.root.parent, "summary", "--store", str(fresh.root))
    return document


@pytest.fixture(scope="module")
def summary(store: Verifier) -> dict[str, Any]:
    document: dict[str, Any] = codebatch(store.root.parent, "summary", "--store", str(store.root))
    return document


def test_every_document_is_sealed(store: Verifier) -> None:
    names = [path.relative_to(store.root) for path in store.root.rglob("*.json")]
    assert {name.name for name in names} - {"asked.json"} == {
        *("batch.json", "plan.json", "snapshot.json", "state.json", "store.json", "task.json")
    }
    for name in names:
        store.sealed(str(name))
    assert store.sealed("store.json")["format"] == "codebatch-store"
    assert store.sealed("store.json")["version"] in (1, 2)


def test_examples_of_the_specification() -> None:
    """The examples that are whole documents fit their schemas and have the digests they state."""
    checked = Counter()
    for block in re.findall(r"^```json\n(.*?)^```$", SPEC, re.MULTILINE | re.DOTALL):
        if "…" in block:
            continue
        lines = block.splitlines(keepends=True)
        is_lines = all(line.startswith("{") and line.endswith("}\n") for line in lines)
        for text in lines if is_lines else [block]:
            checked[_check_example(text)] += 1
    assert checked.keys() == set(EXAMPLES.values())


def _check_example(text: str) -> str:
    """Check one document of the specification; gives the name of its schema."""
    document = json.loads(text)
    (name,) = (schema for field, schema in EXAMPLES.items() if field in document)
    jsonschema.Draft202012Validator(load_schema(name)).validate(document)
    if "digest" in document:
        body = {key: value for key, value in document.items() if key != "digest"}
        assert document["digest"] == tagged("sealed", body), text
    else:
        assert canonical(document).decode() + "\n" == text
    if name == "task":
        assert document["fingerprint"] == tagged("fingerprint", document["components"])
    return name


def test_every_object_bears_the_digest_of_its_raw_bytes(store: Verifier) -> None:
    forms = Counter()
    for path in (store.root / "objects" / "sha256").glob("*/*/*"):
        name = path.name.removesuffix(".zst")
        assert path.parent.name == name[2:4]
        assert path.parent.parent.name == name[:2]
        if not store.root.name.startswith(
            "golden"
        ):  # an archive, or a checkout, may give other modes
            assert path.stat().st_mode & 0o777 == 0o444
        store.object(f"sha256:{name}")
        forms[path.suffix] += 1
    assert forms[""]
    assert forms[".zst"]


def test_an_object_is_taken_out_of_a_pack_by_hand(tmp_path: Path) -> None:
    if not all(map(shutil.which, ("zstd", "awk", "sha256sum"))):
        pytest.skip("a program is not there")
    (tmp_path / "tree").mkdir()
    for number in range(40):
        (tmp_path / "tree" / f"{number}.py").write_text(f"value = {number}\n")
    codebatch(tmp_path, "init", ".codebatch")
    codebatch(tmp_path, "snapshot", "tree", "--store", ".codebatch")
    assert verify_store(tmp_path / ".codebatch")["packed objects"] == 40
    (script,) = re.findall(r"^```sh\n(.*?)^```$", SPEC, re.MULTILINE | re.DOTALL)
    text = b"value = 23\n"
    script = f"digits={hashlib.sha256(text).hexdigest()}\n{script}"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == b"object: OK\n"
    assert (tmp_path / "object").read_bytes() == text


def test_snapshot(store: Verifier, summary: dict[str, Any]) -> None:
    snapshot_id = summary["snapshot_id"]
    name = f"snapshots/{snapshot_id}/files.index.jsonl"
    assert snapshot_id == short("snap", sha256((store.root / name).read_bytes()))
    files = store.lines(name)
    paths = [name_bytes(file["path"]) for file in files]
    assert paths == sorted(set(paths))
    assert {file["mode"] for file in files} == {"120000", "100755", "100644"}
    assert all(file["size"] == len(store.object(file["object"])) for file in files)
    document = store.sealed(f"snapshots/{snapshot_id}/snapshot.json")
    assert document["snapshot_id"] == snapshot_id
    assert document["file_count"] == len(files)
    assert document["total_bytes"] == sum(file["size"] for file in files)
    assert document["skipped"] == [{"path": "pipe", "reason": "named pipe"}]


def test_a_snapshot_is_the_tree(fresh: Verifier, fresh_summary: dict[str, Any]) -> None:
    files = fresh.lines(f"snapshots/{fresh_summary['snapshot_id']}/files.index.jsonl")
    stored = {name_bytes(file["path"]): fresh.object(file["object"]) for file in files}
    assert stored == {**TREE, b"link": b"cart.py"}
    modes = {file["path"]: file["mode"] for file in files}
    assert (modes["link"], modes["broken.py"], modes["cart.py"]) == ("120000", "100755", "100644")


def test_fingerprints_and_batch_id(store: Verifier, summary: dict[str, Any]) -> None:
    batch = f"batches/{summary['batch_id']}"
    plan = store.sealed(f"{batch}/plan.json")
    fingerprints: dict[str, str] = {}
    for task in plan["tasks"]:
        assert task["components"]["task"] == task["task"]
        assert task["components"]["config"] == task["config"]
        assert task["components"]["facets"] == sorted(task["components"]["facets"])
        assert task["fingerprint"] == tagged("fingerprint", task["components"])
        fingerprints[task["id"]] = task["fingerprint"]
        stored = store.sealed(f"{batch}/tasks/{task['id']}/task.json")
        assert {**task, "digest": stored["digest"]} == stored
    identity = [plan["snapshot_id"], plan["document"], [*fingerprints.values()]]
    identity.append(plan["detection"])
    assert summary["batch_id"] == short("batch", tagged("batch", identity)) == plan["batch_id"]
    described = [
        {key: task[key] for key in ("id", "task", "needs", "config")} for task in plan["tasks"]
    ]
    assert plan["document"]["tasks"] == described


def test_shards(store: Verifier, summary: dict[str, Any]) -> None:
    batch = f"batches/{summary['batch_id']}"
    plan = store.sealed(f"{batch}/plan.json")
    data = (store.root / batch / "inputs.index.jsonl").read_bytes()
    inputs = store.lines(f"{batch}/inputs.index.jsonl")
    assert inputs == sorted(inputs, key=lambda f: (f["object"], name_bytes(f["path"])))
    manifest = store.lines(f"snapshots/{summary['snapshot_id']}/files.index.jsonl")
    places = {(file["path"], file["object"], file["size"]) for file in manifest}
    assert {(file["path"], file["object"], file["size"]) for file in inputs} == places
    end = 0
    for shard in plan["shards"]:
        portion = data[shard["offset"] : shard["offset"] + shard["length"]]
        members = [json.loads(line) for line in portion.splitlines()]
        assert shard["offset"] == end
        assert sha256(portion) == shard["digest"]
        width = len(shard["shard_id"])
        assert {file["object"][7 : 7 + width] for file in members} == {shard["shard_id"]}
        assert shard["files"] == len(members)
        assert shard["bytes"] == sum(file["size"] for file in members)
        end += shard["length"]
    assert end == len(data)


def test_states_and_result_digest(store: Verifier, summary: dict[str, Any]) -> None:
    batch = f"batches/{summary['batch_id']}"
    plan = store.sealed(f"{batch}/plan.json")
    inputs = store.lines(f"{batch}/inputs.index.jsonl")
    roots = {}
    for task in plan["tasks"]:
        leaves: dict[str, list[list[str]]] = {}
        for shard in plan["shards"]:
            members = [f for f in inputs if f["object"][7:].startswith(shard["shard_id"])]
            leaves |= check_shard(store, f"{batch}/tasks/{task['id']}", shard["shard_id"], members)
        roots[task["id"]] = fold(
            {p: tagged("result-leaf", files) for p, files in leaves.items()}, 0
        )
    result = tagged("result", {task: nodes[""] for task, nodes in roots.items()})
    assert result == summary["result"]
    assert result == store.sealed(f"{batch}/batch.json")["result"]


EVENT_FIELDS = {
    "run-started": {"pending", "scheduler"},
    "shard-started": {"shard_id", "attempt"},
    "shard-claimed": {"shard_id", "attempt"},
    "shard-done": {"shard_id", "attempt", "status", "error", "warning", "worker"},
    "shard-failed": {"shard_id", "attempt", "status", "error", "warning", "worker"},
    "run-stalled": {"seconds", "calls", "workers"},
    "run-finished": {"status"},
}


def test_events(store: Verifier, summary: dict[str, Any]) -> None:
    """Those of the first golden store are of an earlier writer."""
    later = {"scheduler", "worker"} if store.root.name == "golden-store" else set()
    events = store.lines(f"batches/{summary['batch_id']}/events.jsonl")
    schema = jsonschema.Draft202012Validator(load_schema("event"))
    for event in events:
        schema.validate(event)
        fields = EVENT_FIELDS[event["event"]] - later
        assert event.keys() - {"warning"} == {"event", "time", *fields} - {"warning"}
    assert {event["event"] for event in events} >= {"run-started", "shard-done", "run-finished"}


def test_every_file_is_accounted_for(store: Verifier, summary: dict[str, Any]) -> None:
    """Each file is one that the specification names, and its bytes are what it says."""
    batch = re.escape(summary["batch_id"])
    snapshot = re.escape(summary["snapshot_id"])
    shard = rf"batches/{batch}/tasks/\w+/shards/[0-9a-f]{{1,3}}"
    rules = {
        r"store\.json": store.sealed,
        r"\.gitignore": lambda name: (store.root / name).read_bytes() == b"*\n" or _wrong(name),
        r"objects/sha256/(..)/(..)/\1\2[0-9a-f]{60}(\.zst)?": lambda name: store.object(
            f"sha256:{name.split('/')[-1].removesuffix('.zst')}"
        ),
        rf"snapshots/{snapshot}/snapshot\.json": store.sealed,
        rf"(snapshots/{snapshot}|batches/{batch})/asked\.json": lambda name: _asking(store, name),
        rf"snapshots/{snapshot}/files\.index\.jsonl": store.lines,
        rf"batches/{batch}/(batch|plan)\.json": store.sealed,
        rf"batches/{batch}/(inputs\.index|events)\.jsonl": store.lines,
        rf"batches/{batch}/tasks/\w+/task\.json": store.sealed,
        rf"{shard}/state\.json": store.sealed,
        rf"{shard}/outputs\.index\.jsonl(\.zst)?": store.lines,
        r"indexes/memo(/[0-9a-f]){1,3}/[0-9a-f]{64}\.memo": lambda name: _segment(store, name),
        r"indexes/shards/../[0-9a-f]{62}": lambda _: None,  # of an earlier version, and ignored
        r"objects/packs/[0-9a-f]{64}\.(idx|pack)": lambda _: all(
            map(store.object, (f"sha256:{name}" for name in store.packed))
        ),
        r"names/main": store.sealed,
        r"indexes/stat/\w+": lambda name: _stat_cache(store, name),
    }
    used = set()
    for path in sorted(store.root.rglob("*")):
        name = path.relative_to(store.root).as_posix()
        if path.is_file():
            matching = [pattern for pattern in rules if re.fullmatch(pattern, name)]
            assert len(matching) == 1, name
            rules[matching[0]](name)
            used.add(matching[0])
    assert rules.keys() - used <= {
        rf"(snapshots/{snapshot}|batches/{batch})/asked\.json",  # of earlier versions there is none
        r"indexes/stat/\w+",
        r"names/main",
        r"objects/packs/[0-9a-f]{64}\.(idx|pack)",
        r"indexes/shards/../[0-9a-f]{62}",
    }


def _asking(store: Verifier, name: str) -> None:
    document = store.sealed(name)
    assert document.keys() == {"asked", "branch", "commit", "digest", "id", "source"}
    assert document["id"] == name.split("/")[1]


def _wrong(name: str) -> None:
    raise AssertionError(name)


def _segment(store: Verifier, name: str) -> None:
    data = (store.root / name).read_bytes()
    assert sha256(data).removeprefix("sha256:") == Path(name).stem
    entries = msgpack.unpackb(zstd.decompress(data))
    assert [entry[0] for entry in entries] == sorted(entry[0] for entry in entries)
    for key, lines, counts, objects, batch_id in entries:
        assert len(key) == 32
        assert counts[0] == lines.count(b"\0") == lines.count(b"\n") == sum(counts[1].values())
        for digest in objects:
            store.object(f"sha256:{digest.hex()}")
        assert (store.root / "batches" / batch_id).is_dir()


def _stat_cache(store: Verifier, name: str) -> None:
    data = (store.root / name).read_bytes()
    assert hashlib.sha256(data[64:]).hexdigest().encode() == data[:64]


@pytest.mark.parametrize("shards", ["16", "4096"])
def test_trees_of_batch_tasks(folder: Path, shards: str) -> None:
    """Each value is under the key that the specification derives from the records below it."""
    name = f"trees{shards}"
    scan = ("scan", "tree", "--store", name, "--pipeline", "hotspots", "--shards", shards)
    summary = codebatch(folder, *scan)
    store, batch = Verifier(folder / name), f"batches/{summary['batch_id']}"
    plan = store.sealed(f"{batch}/plan.json")
    inputs = store.lines(f"{batch}/inputs.index.jsonl")
    (task,) = (task for task in plan["tasks"] if task.get("scope") == "batch")
    nodes: dict[str, dict[str, str]] = {}
    for need in task["needs"]:
        leaves: dict[str, list[list[str]]] = {}
        for shard in plan["shards"]:
            members = [f for f in inputs if f["object"][7:].startswith(shard["shard_id"])]
            leaves |= check_shard(store, f"{batch}/tasks/{need}", shard["shard_id"], members)
        tagged_leaves = {p: tagged("result-leaf", files) for p, files in leaves.items()}
        nodes[need] = {p: d for depth in range(4) for p, d in fold(tagged_leaves, depth).items()}
    entries = dict(_partials(store, f"indexes/partials/{task['fingerprint'][7:23]}"))
    prefixes = sorted(next(iter(nodes.values())), key=len, reverse=True)
    values: dict[str, bytes] = {}
    used: set[str] = set()
    for prefix in prefixes:
        trees = {need: nodes[need][prefix] for need in task["needs"]}
        key = tagged("reduction-value", [task["fingerprint"], prefix, trees])
        below = [values[p] for p in sorted(prefixes) if p[:-1] == prefix and p]
        if len(below) > 1:
            of_values = [task["fingerprint"], [sha256(value) for value in below]]
            combined = tagged("reduction-combine", of_values)
            # It stands under the key of what was combined, or itself where its file is.
            assert entries[key] in ((combined, b""), entries[combined])
            used.add(key)
            key = combined
        used.add(key)
        target, values[prefix] = entries[key]
        assert target == ""
        assert len(below) != 1 or below == [values[prefix]]
    finish = tagged("reduction-finish", [task["fingerprint"], sha256(values[""])])
    target, finished = entries[finish]
    assert (target, entries.keys()) == ("", {*used, finish})
    outputs = [
        json.loads(line)
        for path in (store.root / batch / "tasks" / task["id"]).rglob("outputs.index.jsonl*")
        for line in store.data(str(path.relative_to(store.root))).splitlines()
    ]
    packed = {path: msgpack.unpackb(records) for path, records in msgpack.unpackb(finished)}
    assert {record["path"] for record in outputs} == packed.keys()
    assert sum(map(len, packed.values())) == len(outputs) > 0


def _partials(store: Verifier, folder: str) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Yield each key below a folder of partial values with the target and the value."""
    for path in (store.root / folder).rglob("*.part*"):
        data = path.read_bytes()
        if path.suffix == ".parts":
            assert hashlib.sha256(data).hexdigest() == path.stem
            entries = msgpack.unpackb(zstd.decompress(data))
            assert [entry[0] for entry in entries] == sorted(entry[0] for entry in entries)
        else:
            assert hashlib.sha256(data[32:]).digest() == data[:32]
            entries = [msgpack.unpackb(zstd.decompress(data[32:]))]
            assert entries[0][0].hex() == path.stem
            assert path.parent.name == path.stem[:2]
        for key, target, _, value in entries:
            yield f"sha256:{key.hex()}", (f"sha256:{target.hex()}" if target else "", value)


def test_result_does_not_depend_on_the_shards(folder: Path) -> None:
    results = [codebatch(folder, "summary", "--store", name) for name in ("narrow", "wide")]
    assert results[0]["result"] == results[1]["result"]
    assert results[0]["batch_id"] == results[1]["batch_id"]


def test_finding_fingerprints(store: Verifier, summary: dict[str, Any]) -> None:
    """They follow from the code, the folded text of the line, and the count above."""
    batch = f"batches/{summary['batch_id']}"
    manifest = store.lines(f"snapshots/{summary['snapshot_id']}/files.index.jsonl")
    objects = {file["path"]: file["object"] for file in manifest}
    checked = 0
    for path in (store.root / batch / "tasks").glob("*/shards/*/outputs.index.jsonl*"):
        seen: Counter[tuple[str, str, str]] = Counter()
        for record in store.lines(str(path.relative_to(store.root))):
            if record["kind"] != "diagnostic":
                continue
            lines = store.object(objects[record["path"]]).decode().split("\n")
            text = " ".join(lines[record["line"] - 1].split())
            key = (record["path"], record["code"], text)
            digest = tagged("finding", [record["code"], text, seen[key]])
            seen[key] += 1
            assert record["fingerprint"] == digest.removeprefix("sha256:")[:16]
            checked += 1
    assert checked >= 5


def test_python_tree_can_be_rebuilt(fresh: Verifier, fresh_summary: dict[str, Any]) -> None:
    tree, nodes = _tree_of(fresh, fresh_summary, "cart.py", "python-ast-flat/2+msgpack")
    holes = sum(tree["types"][kind][0] == "" for kind in tree["type"])
    assert holes == 1
    assert nodes == len(tree["type"]) - holes
    assert _rebuilt(tree) == _plain(ast.parse(TREE[b"cart.py"]))


def _tree_of(
    store: Verifier, summary: dict[str, Any], path: str, form: str
) -> tuple[dict[str, Any], int]:
    """The tree of a file, and how many nodes its record says it has."""
    batch = f"batches/{summary['batch_id']}"
    for outputs in (store.root / batch / "tasks" / "parse").glob("shards/*/outputs.index.jsonl*"):
        for record in store.lines(str(outputs.relative_to(store.root))):
            if record["kind"] == "ast" and record["path"] == path:
                assert record["format"] == form
                tree: dict[str, Any] = msgpack.unpackb(store.object(record["object"]))
                return tree, record["nodes"]
    raise AssertionError(path)


def _rebuilt(tree: dict[str, Any]) -> object:
    """Nested ``[class, place, {field: value}]`` from the columns."""
    rows = Counter(tree["type"])
    cursors = [
        zip(*(column or [1] * rows[kind] for column in columns), strict=True)
        for kind, columns in enumerate(tree["columns"])
    ]
    top: dict[str, Any] = {"": None}
    due: list[tuple[dict[str, Any], str]] = [(top, "")]
    for kind in tree["type"]:
        name, scalars, children, lists, places = tree["types"][kind]
        entry = iter(next(cursors[kind], ()))
        place = {key: next(entry) for key in places}
        fields = {key: _scalar(tree, key, next(entry)) for key in scalars}
        counts = {key: next(entry) for key in children}
        fields |= {key: [] if key in lists else None for key in children}
        line, column = place.get("line", 0), place.get("column", 0)
        end = (line + place.get("more_lines", 0), place.get("end_column", 0))
        node = [name, (line, column, *end), fields] if name else None
        holder, field = due.pop()
        if isinstance(holder[field], list):
            holder[field].append(node)
        else:
            holder[field] = node
        for key in reversed(children):
            due += [(fields, key)] * counts[key]
    assert not due
    return top[""]


def _scalar(tree: dict[str, Any], field: str, value: Any) -> object:
    """What a scalar field holds: an operator, a list of these, or the value itself."""
    if field in ("ctx", "op"):
        return tree["operators"][value]
    return [tree["operators"][index] for index in value] if field == "ops" else value


def _plain(node: Any) -> object:
    """The same nesting from the standard library's tree."""
    if isinstance(node, (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)):
        return type(node).__name__
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if isinstance(node, ast.AST):
        place = ("lineno", "col_offset", "end_lineno", "end_col_offset")
        fields = {name: _plain(getattr(node, name)) for name in node._fields}
        return [type(node).__name__, tuple(getattr(node, name, 0) for name in place), fields]
    if isinstance(node, complex):
        return ["complex", node.real, node.imag]
    return ["ellipsis"] if node is ... else node


def test_tree_sitter_tree_can_be_read(fresh: Verifier, fresh_summary: dict[str, Any]) -> None:
    tree, nodes = _tree_of(fresh, fresh_summary, "web/app.js", "tree-sitter-flat/2+msgpack")
    assert nodes == len(tree["types"])
    text = TREE[b"web/app.js"].decode()
    assert list(tree) == sorted(tree)
    assert tree["grammar"] == "javascript"
    start, names, parents = 0, [], []
    for row, kind in enumerate(tree["types"]):
        start += tree["starts"][row]
        written = text[start : start + tree["ends"][row]]
        if tree["texts"][row]:
            assert tree["strings"][tree["texts"][row]] == written
        names.append(tree["type_names"][kind])
        parents.append(row - tree["parents"][row])
        if names[-1] == "identifier" and written == "unused":
            assert names[parents[-1]] == "variable_declarator"
            assert tree["field_names"][tree["fields"][row]] == "name"
    assert names[0] == "program"
    assert '"&&"' in names
    offsets = [sum(tree["lines"][: n + 1]) for n in range(len(tree["lines"]))]
    assert offsets[:2] == [0, text.index("\n") + 1]
