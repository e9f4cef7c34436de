"""JavaScript and TypeScript against TypeScript, Babel, node, eslint and typescript-eslint.

The sources and bundles of some fifty packages, or as many of their files as ``ECMASCRIPT_FILES``
says (a number, or ``all``): those of two packages, and others drawn from ``ECMASCRIPT_SEED``; with
them a few thousand files that were changed at one place, and hand-made ones of a construct each.

Whether the language accepts a file: TypeScript's parser decides where the file has types, else
Babel, and what node takes is accepted. Of the files that are ours, those with types on which the
two differ are left out (TypeScript's checker rejects much that its parser reads), those without
that only Babel accepts, and those with regular expressions that node does not know.

Names: nearly all that either side reports are reported by both, the unused ones of a file by name,
the shadowed ones on the same lines. Intended differences, by name:

- self-named: ``const F = forwardRef(function F() {})`` is no shadowing here;
- elements: ``React``, or what a ``@jsx`` comment names, is used by the elements of the file;
- types: what only a type looks at (``typeof name``) is used.

The rest are names of types: ``infer`` and type parameters of function types may shadow or not.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import ecmascript
import pytest
from conftest import Note

import codebatch
from codebatch.tasks.languages.authorship import MINIFIED, REASONS

pytestmark = pytest.mark.oracle

FILES = os.environ.get("ECMASCRIPT_FILES", "20500")
SEED = int(os.environ.get("ECMASCRIPT_SEED", "12"))
CHANGED = 3_000
# Constructs on which oxc decides otherwise: errors that only TypeScript's checker gives, and what
# no program contains.
DIFFERENT = frozenset(
    (
        b"return 1;\n",
        b"class A { x = await y; }\n",
        b"class A { @dec constructor() {} }\n",
        b"class A { m(@dec p) {} }\n",
        b"<a>&#x110000;</a>;\n",
        b"x as T = 1;\n",
        b"delete x; with (a) b;\n",
        b"function f(a, this: B) {}\n",
        b"class A { constructor() {} constructor() {} }\n",
        b"class A { constructor(); constructor(x); x; x; }\n",
        b"class A { get o(): 1; set o(v); }\n",
        b"type D = [if: 1, class?: 2, ...for: 3[], this: 4, null: 5, typeof: 6];\n",
    )
)
NAMED = 2_500
# Packages are full of bundles, whose syntax errors are no findings, nor are their names.
EVERYTHING = {"include": list(REASONS)}
WRITTEN = [reason for reason in REASONS if reason != MINIFIED]

TYPED = re.compile(r"\.[cm]?tsx?\Z")
DECLARATIONS = re.compile(r"\.d\.[cm]?ts\Z")
COMMENTS = re.compile(rb"\A(?:\s|#![^\n]*|//[^\n]*|/\*.*?\*/|['\"]use \w+['\"];?)*", re.DOTALL)
PRAGMA = re.compile(r"@jsx(?:Frag)?\s+([\w$]+)")


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Packages and tools: one folder for all processes of this run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "ecmascript"
    ecmascript.download(folder)
    return folder


@pytest.fixture(scope="module")
def packages(downloads: Path) -> dict[str, bytes]:
    """The sources of the packages that are looked at."""
    found = ecmascript.sources(downloads)
    if FILES == "all":
        return found
    always = {path for path in found if path.startswith(ecmascript.ALWAYS)}
    others = sorted(found.keys() - always)
    drawn = random.Random(SEED).sample(others, max(0, int(FILES) - len(always)))
    return {path: found[path] for path in (*sorted(always), *drawn)}


Place = tuple[str, str, str, int]


@dataclass(frozen=True)
class Judged:
    """What is expected of a file, ``accept``, ``reject`` or ``skip``, and what was found."""

    path: str
    expected: str
    found: str
    reason: str


def expected_verdict(said: ecmascript.Said, data: bytes) -> str | None:
    """Return what the deciding tool says; None for a file that is not compared."""
    typed = TYPED.search(said["file"]) is not None
    comments = COMMENTS.match(data)
    if not typed and comments is not None and b"@flow" in comments[0]:
        return "skip"
    if said["node"]:
        return "accept"
    typescript, babel = _verdict(said["typescript"]), _verdict(said["babel"])
    decided, other = (typescript, babel) if typed else (babel, typescript)
    if said["file"].startswith("packages/") or decided == other:
        return decided if said["patterns"] or said["file"].startswith("packages/") else None
    return None if typed or decided == "accept" else decided


def _verdict(line: int | None) -> str:
    return "accept" if line is None else "reject"


def judged(root: Path, store: Path, files: dict[str, bytes], tools: Path) -> list[Judged]:
    """Return both sides' verdicts on the files below ``root``."""
    batch, report = codebatch.scan(
        root, store, pipeline="parse", settings={"parse": EVERYTHING}, ignore=False
    )
    assert report.status == "done"
    skipped = {str(r["path"]): str(r["reason"]) for r in batch.records(kind="skip")}
    errors = {str(r["path"]): str(r["message"]) for r in batch.records(code="E0001")}
    assert not list(batch.records(code="E0002"))
    assert {str(row["path"]) for row in batch.files()} == set(files)
    compared = []
    for said in ecmascript.said("verdicts", root, files, tools):
        path = said["file"]
        expected = expected_verdict(said, files[path])
        found = "skip" if path in skipped else "reject" if path in errors else "accept"
        if expected is not None:
            reason = skipped.get(path) or errors.get(path, "")
            compared.append(Judged(path, expected, found, reason))
    return compared


def test_verdicts(packages: dict[str, bytes], downloads: Path, tmp_path: Path, note: Note) -> None:
    files = {f"packages/{path}": data for path, data in packages.items()}
    broken = ecmascript.changed(packages, CHANGED, SEED)
    files |= {f"changed/{path}": data for path, data in broken.items()}
    files |= {f"constructs/{path}": data for path, data in ecmascript.constructs().items()}
    root = tmp_path / "root"
    ecmascript.write(files, root)
    compared = judged(root, tmp_path / "store", files, downloads / "tools")

    counts = Counter((one.path.split("/")[0], one.expected, one.found) for one in compared)
    reasons = Counter(one.reason for one in compared if one.found == "skip")
    note(f"ecmascript: {len(packages)} files, seed {SEED}: {dict(counts)}, skips {dict(reasons)}")
    skipped = [one for one in compared if one.found == "skip"]
    unexpected = [one for one in skipped if one.expected != "skip"]
    wrong = [
        one
        for one in compared
        if one.found not in (one.expected, "skip") and files[one.path] not in DIFFERENT
    ]
    ours = [one for one in wrong if one.path.startswith("changed/")]
    assert wrong == ours, "\n".join(map(str, wrong))
    assert len(ours) < 0.003 * len(broken), "\n".join(map(str, ours))
    assert len(unexpected) < 0.001 * len(packages), "\n".join(map(str, unexpected))
    assert counts["packages", "accept", "accept"] > 0.95 * len(packages)
    assert counts["changed", "reject", "reject"] > len(broken) / 3


def expected_names(said: ecmascript.Said, text: str, rule: str) -> Counter[tuple[str, int]]:
    pragmas = {"React", *PRAGMA.findall(text)}
    return Counter(
        (finding["name"], finding["line"] if rule == "shadow" else 0)
        for finding in said["findings"]
        if finding["rule"] == rule
        and not (rule == "shadow" and finding["selfNamed"])
        and not (rule == "unused" and (finding["typed"] or finding["name"] in pragmas))
    )


def found_names(records: list[codebatch.Record], rule: str) -> Counter[tuple[str, int]]:
    return Counter(
        (re.split("[`']", str(record["message"]))[1], record["line"] if rule == "shadow" else 0)
        for record in records
        if (record["code"] == "L103") == (rule == "shadow")
    )


def readable(path: str, data: bytes) -> bool:
    """Return true for what is not minified, nor a declaration file."""
    return not DECLARATIONS.search(path) and max(map(len, data.split(b"\n"))) < 2_000


def test_names(packages: dict[str, bytes], downloads: Path, tmp_path: Path, note: Note) -> None:
    candidates = sorted(path for path, data in packages.items() if readable(path, data))
    files = {
        path: packages[path]
        for path in random.Random(SEED).sample(candidates, min(NAMED, len(candidates)))
    }
    root = tmp_path / "root"
    ecmascript.write(files, root)
    batch, report = codebatch.scan(
        root,
        tmp_path / "store",
        settings={"parse": EVERYTHING, "lint": {"include": WRITTEN}},
        ignore=False,
    )
    assert report.status == "done"
    left_out = {str(record["path"]) for record in batch.records(task="lint", kind="skip")}
    left_out |= {str(record["path"]) for record in batch.records(code="E0001")}
    records: dict[str, list[codebatch.Record]] = {path: [] for path in files}
    for code in ("L101", "L102", "L103"):
        for record in batch.records(code=code):
            records[str(record["path"])].append(record)

    common: Counter[str] = Counter()
    only_ours: list[Place] = []
    only_theirs: list[Place] = []
    for said in ecmascript.said("names", root, files, downloads / "tools"):
        path = said["file"]
        if path in left_out or said["findings"] is None:
            continue
        for rule in ("unused", "shadow"):
            expected = expected_names(said, files[path].decode("utf-8", "replace"), rule)
            found = found_names(records[path], rule)
            common[rule] += sum((expected & found).values())
            only_ours += ((rule, path, *name) for name in found - expected)
            only_theirs += ((rule, path, *name) for name in expected - found)
    note(
        f"ecmascript: names in {len(files)} files, seed {SEED}: {dict(common)} found by both, "
        f"{len(only_ours)} only here, {len(only_theirs)} only by eslint"
    )
    for rule in ("unused", "shadow"):
        assert common[rule] > 50
        for others in (only_ours, only_theirs):
            lonely = {place[:3] for place in others if place[0] == rule}  # once a file
            assert len(lonely) < 0.05 * common[rule], "\n".join(map(str, lonely))
