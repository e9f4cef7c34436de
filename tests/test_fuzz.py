"""Whatever a tree, a pipeline document or a store holds: an answer or one line of error.

Documents are changed and sealed again, as somebody could who may write to the store; derived
files get their checksums. Every command then has to end with a documented exit code and without
a traceback, with one JSON document under ``--json``, without a control character for a terminal,
and without a file written outside the store.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Note, Outcome, read_outputs, write_outputs, write_tree
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sampling import ALL
from verifier import sha256, short, verify_store

import codebatch
from codebatch.cli.root import main as run_command_line
from codebatch.model.errors import EXIT_BUG, EXIT_CODES
from codebatch.model.resources import list_pipelines, load_graph

FORBIDDEN = re.compile(r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SMALL = {
    "pkg/cart.py": "import os\n\n\nclass Cart:\n    def add(self, a, b=1):\n        return a  \n",
    "pkg/__init__.py": "import sys\n",
    "web/app.ts": "export const f = (a: number) => a ? 1 : 2;\n",
    "bad.py": "def bad(:\n",
    "data.bin": b"\0\1" * 50,
}


def invoke(*arguments: object) -> Outcome:
    """The command line in this process, quickly."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    before, code = (sys.stdout, sys.stderr), 0
    sys.stdout, sys.stderr = out, err
    try:
        run_command_line([str(argument) for argument in arguments])
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 0
    finally:
        sys.stdout, sys.stderr = before
    out.flush(), err.flush()
    return Outcome(code, out.buffer.getvalue(), err.buffer.getvalue())  # type: ignore[attr-defined]


def check_outcome(words: tuple[object, ...], done: Outcome) -> None:
    where = " ".join(map(str, words))
    assert "Traceback" not in done.err, f"{where}\n{done.err}"
    assert done.code in EXIT_CODES, (where, done)
    assert done.code != EXIT_BUG, (where, done)
    assert not FORBIDDEN.search(done.err), (where, done)
    if not {"export", "--format"} & set(
        words
    ):  # what is for programs is escaped for terminals only
        assert not FORBIDDEN.search(done.out), (where, done)
    if "--json" in words:
        json.loads(done.stdout)
    elif done.code in (2, 4):
        # The first line may name the tree that the command is about.
        assert any(line.startswith("error: ") for line in done.err.splitlines()[:2]), (where, done)


# Every command that looks at a store, in each of its forms; B is the batch, S its snapshot.
VIEWS = [
    *("status", "summary", "tasks", "shards", "errors", "files", "top", "shards --task lint"),
    *("batches", "snapshots", "show B", "show S", "show latest", "top --by complexity"),
    *("query outputs", "query diagnostics", "query symbols", "query metrics", "query stats"),
    *("query edges", "errors --format csv", "files --format csv", "query metrics --format jsonl"),
    *("inspect pkg/cart.py", "inspect cart.py", "inspect pkg/cart.py --at 5", "inspect nothing"),
    *("explain --task lint --file pkg/cart.py", "plan --batch B", "plan --snapshot S"),
    *("diff B B", "regressions B OTHER", "improvements OTHER B", "diff B OTHER"),
    *("sql SELECT_COUNT", "export --format sarif", "export --format csv --kind diagnostic"),
    *("export --format github", "export --format jsonl", "export --format parquet --kind metric"),
    *("gc --dry-run", "memo export OUT", "query symbols --language python"),
    *("query symbols --name add", "query diagnostics --severity error"),
]
VIEWS += ["store-stats", "diagnose", "verify", "verify --read-data", "verify --subset 10%"]
WORK = ["resume", "run --recompute", "batch init --snapshot S --pipeline full", "gc", "resume"]
WORK += ["verify --repair", "gc --grace 0s", "resume", "verify", "batch rm B", "snapshot rm S"]


def commands(scene: Scene) -> Iterator[tuple[object, ...]]:
    names = {
        "B": scene.batch,
        "S": scene.snapshot,
        "OTHER": scene.other,
        "OUT": scene.root.parent / "memo.tar",
        "SELECT_COUNT": "SELECT path, code, message FROM diagnostics",
    }
    for text in [*VIEWS, *WORK]:
        words = [names.get(word, word) for word in text.split()]
        words += ["--store", scene.root]
        if text.split()[0] in ("resume", "run"):
            words += ["--scheduler", "sync"]
        yield tuple(words)
        if "--format" not in text:
            yield (*words, "--json")


class Scene:
    """A store to be harmed, in a sandbox that must stay as it is."""

    def __init__(self, sandbox: Path, template: Path, ids: tuple[str, str, str]) -> None:
        self.root = sandbox / "a" / "store"
        shutil.rmtree(sandbox, ignore_errors=True)
        shutil.copytree(template, self.root)
        self.snapshot, self.batch, self.other = ids
        self._sandbox = sandbox

    def outside(self) -> set[str]:
        """All there is in the sandbox beside the store."""
        found = {os.fspath(path.relative_to(self._sandbox)) for path in self._sandbox.rglob("*")}
        return {name for name in found if not name.startswith("a/store/")} - {"a/memo.tar"}

    def check(self) -> Counter[int]:
        """Run all commands; how often each exit code came."""
        codes: Counter[int] = Counter()
        for words in commands(self):
            done = invoke(*words)
            check_outcome(words, done)
            codes[done.code] += 1
        assert self.outside() == {"a", "a/store"}
        return codes


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_synced() -> Iterator[None]:
    """Nothing here is about power cuts, and a busy disk would take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("codebatch.store.write_group.sync_file_system", lambda _: None)
        yield


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, str, str]]:
    """A store with two batches of neighbouring trees, an index, totals, a memo."""
    base = tmp_path_factory.mktemp("fuzz")
    tree = write_tree(base / "tree", {**SMALL})
    old, _ = codebatch.scan(tree, base / "store", scheduler="sync")
    (tree / "new.py").write_text("def new():\n    return 1\n")
    (tree / "bad.py").write_text("def good():\n    pass\n")
    new, report = codebatch.scan(tree, base / "store", scheduler="sync")
    assert report.status == "done"
    new.sql("SELECT 1")
    return base / "store", (report.snapshot_id, new.id, old.id)


# -- values and changes ---------------------------------------------------------------------------

ODD: list[Any] = [
    *(None, True, False, -1, 0, 1, 2**31, 2**64, 1.5, "", "x", "..", "../../x", "/etc/passwd"),
    *("a\0b", "\ud800", "\udcff", "\x1b[31m", "\u202e", "x" * 5000, "sha256:" + "0" * 64),
    *("batch-0", "lint", "é", "1", [], {}, [[]], [None], {"a": 1}, ["../x"], [1, 2]),
]
deep: Any = []
for _ in range(200):
    deep = [deep]
ODD.append(deep)

odd = st.sampled_from(ODD) | st.text(max_size=8) | st.integers()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value inside."""
    items = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def changed(draw: Callable[..., Any], document: Any) -> Any:
    """The document with one to three things in it other, gone or twice."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(document))
        if not found:
            return document
        *path, last = draw(st.sampled_from(found))
        holder = document
        for key in path:
            holder = holder[key]
        how = draw(st.sampled_from(["set", "set", "set", "delete", "twice", "swap", "add"]))
        if how == "delete":
            del holder[last]
        elif how == "twice" and isinstance(holder, list):
            holder.insert(last, holder[last])
        elif how == "swap":
            other = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else [0]))
            holder[last], holder[other] = holder[other], holder[last]
        elif how == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=5))] = copy.deepcopy(draw(odd))
        else:
            holder[last] = copy.deepcopy(draw(odd))
    return document


def sealed(document: Any) -> bytes:
    """As a writer seals, floats and all."""
    body = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = sha256(b"sealed\n" + text.encode("utf-8", "backslashreplace"))
    return json.dumps({**body, "digest": digest}).encode()


def change_document(draw: Callable[..., Any], scene: Scene) -> str:
    """A sealed document, sealed again."""
    path = draw(st.sampled_from(sorted(scene.root.rglob("*.json"))))
    path = scene.root / path
    document = changed(draw, json.loads(path.read_bytes()))
    if not isinstance(document, dict):
        document = {}
    path.unlink()
    path.write_bytes(sealed(document))
    return path.name


def change_lines(draw: Callable[..., Any], scene: Scene) -> str:
    """Lines of an index, with the digests that cover them made right again."""
    path = draw(st.sampled_from(sorted(scene.root.rglob("*.index.jsonl*"))))
    is_compressed = path.suffix == ".zst"
    lines = (read_outputs(path) if is_compressed else path.read_bytes()).splitlines()
    how = draw(st.sampled_from(["line", "line", "line", "line", "twice", "swap", "gone", "junk"]))
    number = draw(st.integers(0, max(0, len(lines) - 1)))
    if how == "junk" or not lines:
        lines.insert(number, draw(st.binary(max_size=20)).replace(b"\n", b""))
    elif how == "line":
        text = json.dumps(changed(draw, json.loads(lines[number])), sort_keys=True)
        lines[number] = text.encode()
    elif how == "twice":
        lines.insert(number, lines[number])
    elif how == "swap":
        lines.reverse()
    else:
        del lines[number]
    data = b"".join(line + b"\n" for line in lines)
    path.unlink()
    (write_outputs if is_compressed else Path.write_bytes)(path, data)
    _cover(path, data, scene)
    return f"{path.name}: {how}"


def _cover(path: Path, data: bytes, scene: Scene) -> None:
    """Make the digests right that cover an index."""
    if path.name == "outputs.index.jsonl.zst":
        state = path.with_name("state.json")
        document = {**json.loads(state.read_bytes()), "outputs": sha256(data), "size": len(data)}
        state.unlink()
        state.write_bytes(sealed(document))
    elif path.name == "inputs.index.jsonl":
        plan = path.with_name("plan.json")
        document, offset = json.loads(plan.read_bytes()), 0
        for shard in document["shards"]:
            own = [
                line
                for line in data.splitlines(keepends=True)
                if b"sha256:%s" % shard["shard_id"].encode() in line
            ]
            portion = b"".join(own)
            shard |= {"offset": offset, "length": len(portion), "digest": sha256(portion)}
            offset += len(portion)
        plan.write_bytes(sealed(document))
    elif path.name == "files.index.jsonl":
        snapshot_id = short("snap", sha256(data))
        document = json.loads(path.with_name("snapshot.json").read_bytes())
        path.with_name("snapshot.json").write_bytes(
            sealed({**document, "snapshot_id": snapshot_id})
        )
        path.parent.rename(path.parent.with_name(snapshot_id))
        scene.snapshot = snapshot_id


def change_derived(draw: Callable[..., Any], scene: Scene) -> str:
    """A derived file: other bytes, perhaps with the checksum that belongs to them."""
    found = [path for path in sorted((scene.root / "indexes").rglob("*")) if path.is_file()]
    path = draw(st.sampled_from(found))
    data = bytearray(path.read_bytes())
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(["flip", "cut", "insert", "empty"]))
        if how == "flip" and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del data[place:]
        elif how == "insert":
            data[place:place] = draw(st.binary(max_size=9))
        else:
            data.clear()
    path.unlink()
    if draw(st.booleans()):
        path = _checksummed(path, data)
    path.write_bytes(data)
    return path.name


def _checksummed(path: Path, data: bytearray) -> Path:
    """The path under which these bytes pass for whole."""
    if path.suffix == ".memo":
        return path.with_name(hashlib.sha256(data).hexdigest() + ".memo")
    beside = path.with_name(path.name + ".sha256")
    if beside.exists():
        beside.write_text(f"{hashlib.sha256(data).hexdigest()}  {path.name}\n")
    elif path.parent.name == "stat":
        data[:64] = hashlib.sha256(data[64:]).hexdigest().encode()
    return path


def change_file(draw: Callable[..., Any], scene: Scene) -> str:
    """Any file of the store: other bytes, gone, or a folder."""
    found = [path for path in sorted(scene.root.rglob("*")) if path.is_file()]
    path = draw(st.sampled_from(found))
    data = path.read_bytes()
    path.unlink()
    how = draw(st.sampled_from(["gone", "empty", "half", "flip", "folder", "link"]))
    if how == "folder":
        path.mkdir()
    elif how == "link":
        path.symlink_to("nowhere")
    elif how != "gone":
        flipped = bytes([*data[:-1], data[-1] ^ 1]) if data else b"\0"
        path.write_bytes({"empty": b"", "half": data[: len(data) // 2], "flip": flipped}[how])
    return f"{path.name}: {how}"


CHANGES = [change_document, change_lines, change_derived, change_file]


def fuzz_store(
    examples: int,
    template: tuple[Path, tuple[str, str, str]],
    sandbox: Path,
    note: Note,
    changes: list[Callable[..., str]],
) -> None:
    codes: Counter[int] = Counter()
    runs: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # a store takes a second: what failed is printed as it is
        report_multiple_bugs=False,
    )
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        scene = Scene(sandbox, *template)
        change = data.draw(st.sampled_from(changes))
        said = change(data.draw, scene)
        try:
            codes.update(scene.check())
        except BaseException as error:
            error.args = (f"{change.__name__}: {said}\n{error}",)
            raise
        runs[change.__name__] += 1

    fuzz()
    words = ", ".join(f"{name} {number}" for name, number in sorted(runs.items()))
    found = ", ".join(f"{number:,} times {code}" for code, number in sorted(codes.items()))
    note(f"stores fuzzed: {words}; exit codes {found}")


@pytest.mark.slow
def test_changed_stores(
    template: tuple[Path, tuple[str, str, str]], tmp_path: Path, note: Note
) -> None:
    fuzz_store(3, template, tmp_path / "sandbox", note, CHANGES)


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_many_changed_stores(
    change: Callable[..., str],
    template: tuple[Path, tuple[str, str, str]],
    tmp_path: Path,
    note: Note,
) -> None:
    fuzz_store(60 if ALL else 20, template, tmp_path / "sandbox", note, [change])


# -- pipeline documents ---------------------------------------------------------------------------


def fuzz_pipelines(
    examples: int, template: tuple[Path, tuple[str, str, str]], sandbox: Path, note: Note
) -> None:
    valid = [load_graph(name) for name in list_pipelines()]
    codes: Counter[int] = Counter()
    scene = Scene(sandbox, *template)
    path = sandbox / "a" / "memo.tar"  # the one file that may be beside the store

    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        path.write_bytes(pipeline_bytes(data.draw, valid))
        of_snapshot = ("--snapshot", scene.snapshot, "--pipeline", path, "--store", scene.root)
        for words in (
            ("pipeline", path),
            ("pipeline", path, "--json"),
            ("plan", *of_snapshot),
            ("batch", "init", *of_snapshot, "--json"),
        ):
            done = invoke(*words)
            check_outcome(words, done)
            codes[done.code] += 1
        if done.code == 0:
            batch_id = json.loads(done.stdout)["batch_id"]
            words = ("run", "--batch", batch_id, "--scheduler", "sync", "--store", scene.root)
            done = invoke(*words)
            check_outcome(words, done)
            assert done.code == 0, done
        assert scene.outside() == {"a", "a/store"}

    fuzz()
    found = ", ".join(f"{number:,} times {code}" for code, number in sorted(codes.items()))
    note(f"pipelines fuzzed: {examples} documents; exit codes {found}")


def pipeline_bytes(draw: Callable[..., Any], valid: list[Any]) -> bytes:
    """A document that was valid and is so no more, or only just."""
    text = json.dumps(changed(draw, draw(st.sampled_from(valid))))
    how = draw(st.sampled_from(["as is", "as is", "as is", "cut", "deep", "huge", "junk"]))
    if how == "cut":
        text = text[: draw(st.integers(0, len(text)))]
    elif how == "deep":
        text = text[:-1] + ', "x": ' + "[" * 20_000 + "]" * 20_000 + "}"
    elif how == "huge":
        text = text[:-1] + f', "x": "{"x" * 2**21}"' + "}"
    return draw(st.binary(max_size=50)) if how == "junk" else text.encode()


def test_changed_pipelines(
    template: tuple[Path, tuple[str, str, str]], tmp_path: Path, note: Note
) -> None:
    fuzz_pipelines(60, template, tmp_path / "sandbox", note)


@pytest.mark.slow
def test_many_changed_pipelines(
    template: tuple[Path, tuple[str, str, str]], tmp_path: Path, note: Note
) -> None:
    fuzz_pipelines(1000 if ALL else 400, template, tmp_path / "sandbox", note)


# -- trees ----------------------------------------------------------------------------------------

CODE = [b"def f(:\n", b"x = 1\n", b"\x00", b"\xef\xbb\xbf", b"# coding: utf-16\n", b"class A:\n  "]
CODE += [
    b"'''",
    b"(" * 50,
    b"{" * 50,
    b"`${",
    b"<a>",
    b"\r",
    b"\xff\xfe",
    b"=1,2\n",
    b"@f\n",
    b"\\\n",
]
SUFFIXES = [b".py", b".js", b".ts", b".tsx", b".jsx", b".pyi", b".txt", b".json", b"", b".md"]

names = (
    st.binary(min_size=1, max_size=8).filter(lambda name: not set(name) & {0, 47})
    | st.sampled_from(
        [b"a..b", b"...", b"CON", b"aux.txt", b"nul.", b"x ", b"a:b", b"c\\d", b"-rf"]
    )
    | st.sampled_from([b"\x1b[2J", b"new\nline", b"\xe2\x80\xae", b"=1+1", b"@x", b"n" * 240])
)
contents = st.binary(max_size=60) | st.lists(st.sampled_from(CODE), max_size=12).map(b"".join)


@st.composite
def trees(draw: Callable[..., Any]) -> dict[bytes, bytes]:
    """Files by path; names of folders start with a d, of files with an f."""
    files: dict[bytes, bytes] = {}
    for _ in range(draw(st.integers(1, 6))):
        folders = [b"d" + name for name in draw(st.lists(names, max_size=2))]
        name = b"f" + draw(names) + draw(st.sampled_from(SUFFIXES))
        files[b"/".join([*folders, name])] = draw(contents)
    return files


def fuzz_trees(examples: int, base: Path, note: Note) -> None:
    codes: Counter[int] = Counter()
    seen = 0

    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    @given(trees())
    def fuzz(files: dict[bytes, bytes]) -> None:
        nonlocal seen
        tree, store = base / "tree", base / "store"
        _write_bytes_tree(tree, files)
        shutil.rmtree(store, ignore_errors=True)
        done = invoke("scan", tree, "--store", store, "--scheduler", "sync", "--no-ignore")
        check_outcome(("scan",), done)
        assert done.code == 0, done
        verify_store(store)
        listed = json.loads(invoke("files", "--store", store, "--json").stdout)
        assert {os.fsencode(row["path"]) for row in listed} == files.keys()
        for text in VIEWS:
            if set(text.split()) & {"B", "S", "OTHER", "OUT", "SELECT_COUNT"}:
                continue
            for form in ((),) if "--format" in text else ((), ("--json",)):
                words = (*text.split(), "--store", store, *form)
                done = invoke(*words)
                check_outcome(words, done)
                codes[done.code] += 1
        seen += len(files)

    fuzz()
    found = ", ".join(f"{number:,} times {code}" for code, number in sorted(codes.items()))
    note(f"trees fuzzed: {examples} with {seen} files; exit codes {found}")


def _write_bytes_tree(tree: Path, files: dict[bytes, bytes]) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    for name, content in files.items():
        path = os.path.join(os.fsencode(tree), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)


def test_odd_trees(tmp_path: Path, note: Note) -> None:
    fuzz_trees(4, tmp_path, note)


@pytest.mark.slow
def test_many_odd_trees(tmp_path: Path, note: Note) -> None:
    fuzz_trees(200 if ALL else 70, tmp_path, note)
