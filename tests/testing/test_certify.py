"""``tool certify``: what the findings of a tool depend on, shown on a tree."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Outcome, write_tree

import codebatch
from codebatch.model.errors import TaskFailedError, TaskNotFoundError, UsageError
from codebatch.model.resources import load_schema, load_tool_document

Main = Callable[..., Outcome]

TREE = {
    "top.txt": "word\n",
    "a/mark.cfg": "x\n",
    "a/one.txt": "word\n\nother\n",
    "a/two.txt": "twice\n",
    "a/b/three.txt": "third\n",
    "c/four.txt": "twice\nfourth\n",
    "c/five.txt": "",
    "c/six.txt": "word\n",
}
# Programs, each with what its findings depend on, and what makes the difference.
START = f"#!{sys.executable} -IS\nimport os, sys\nnames = sys.argv[1:]\n"
EACH = START + "for place, name in enumerate(names):\n    text = open(name).read()\n"
PROGRAMS = {
    "content": EACH + "    print(f'{name}:1:1: {len(text)} characters')",
    "path": EACH + "    print(f'{name}:1:1: {len(os.path.dirname(name))} in its folder')",
    "name": EACH + "    print(f'{name}:1:1: {os.path.basename(name)}')",
    "siblings": EACH
    + "    folder = os.path.dirname(name)\n"
    + "    while not os.path.exists(os.path.join(folder, 'mark.cfg')):\n"
    + "        if not folder:\n"
    + "            print(f'{name}:1:1: no mark')\n"
    + "            break\n"
    + "        folder = os.path.dirname(folder)",
    "neighbours": EACH
    + "    folder = os.path.dirname(name) or '.'\n"
    + "    words = [open(os.path.join(folder, one)).read() for one in os.listdir(folder)\n"
    + "             if one.endswith('.txt')]\n"
    + "    print(f'{name}:1:1: {words.count(text)} alike')",
    "far": EACH
    + '    print(f\'{name}:1:1: {os.path.exists("top.txt")} and {os.path.exists("c")}\')',
    "order": EACH + "    if place == 0: print(f'{name}:1:1: the first')",
    "number": EACH + "    print(f'{name}:1:1: one of {len(names)}')",
    "few": EACH + "    assert len(names) > 3, 'too few'",
    "chance": EACH + "    print(f'{name}:1:1: {os.urandom(8).hex()}')",
    "nothing": START,
    "broken": START + "sys.exit('no way')",
    "choosy": EACH + "    assert 'twice' not in text\n    print(f'{name}:1:1: {len(text)}')",
    "hating": EACH + "    assert not text",
    "rewriting": EACH + "    open(name, 'w').write(text.upper())",
}
DEPENDS = {
    "content": "content",
    "path": "path",
    "name": "content",  # files that are chosen by their names keep them
    "siblings": "siblings",
    "neighbours": "project",
    "far": "project",
    "order": "project",
    "number": "project",
    "few": "project",
    "chance": None,
    "nothing": "content",
    "rewriting": "content",
}
LINES = {"format": "lines", "pattern": "^(?P<path>[^:]+):1:1: (?P<message>.+)"}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree; the programs are on the path."""
    programs = tmp_path / "programs"
    write_tree(programs, {f"say-{name}": text for name, text in PROGRAMS.items()})
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    return write_tree(tmp_path / "tree", TREE)


def saying(name: str, **more: Any) -> codebatch.Task:
    """The tool of one of the programs; its description says content unless more is said."""
    output = {"format": "rewrite"} if name == "rewriting" else LINES
    run = [f"say-{name}", "${target}"]
    fields = {"depends": "content", "files": {"include": ["*.txt"]}, "success_codes": [0]}
    return codebatch.tool(name, run=run, output=output, **(fields | more))


@pytest.mark.parametrize("name", DEPENDS)
def test_the_least_dependence_is_found(tree: Path, name: str) -> None:
    found = codebatch.certify(saying(name), tree)
    assert found.depends == DEPENDS[name]
    assert found.holds == (DEPENDS[name] == "content")
    assert bool(found.differences) == (DEPENDS[name] != "content")
    assert (found.tool, found.described, found.files) == (name, "content", 7)
    assert all(one.missing or one.added for one in found.differences)


@pytest.mark.sample(4)
@pytest.mark.parametrize("described", ["content", "path", "siblings", "project"])
@pytest.mark.parametrize("name", ["path", "siblings"])
def test_a_description_may_say_more_but_not_less(tree: Path, name: str, described: str) -> None:
    more: dict[str, Any] = {"siblings": ["mark.cfg"]} if described == "siblings" else {}
    found = codebatch.certify(saying(name, depends=described, **more), tree, rounds=1)
    order = ("content", "path", "siblings", "project")
    depends = DEPENDS[name]
    assert (found.depends, found.described) == (depends, described)
    assert depends is not None
    assert found.holds == (order.index(depends) <= order.index(described))


def test_files_that_are_chosen_by_content_have_no_name(tree: Path) -> None:
    assert codebatch.certify(saying("name", files={}), tree, rounds=1).depends == "path"


def test_the_names_of_siblings_are_found(tree: Path) -> None:
    found = codebatch.certify(saying("siblings"), tree)
    assert found.siblings == ("mark.cfg",)
    assert {one.path for one in found.differences} <= {
        f"a/{n}.txt" for n in ("one", "two", "b/three")
    }
    assert [one.message for one in found.differences[0].added] == ["no mark"]
    other = codebatch.certify(saying("siblings", depends="siblings", siblings=["top.txt"]), tree)
    assert (other.depends, other.siblings) == ("siblings", ("top.txt", "mark.cfg"))
    assert not other.holds


def test_a_command_that_fails_on_other_batches_is_a_difference(tree: Path) -> None:
    found = codebatch.certify(saying("few"), tree)
    messages = [one.message for difference in found.differences for one in difference.added]
    assert messages
    assert all("too few" in message for message in messages)


def test_the_order_of_sets_of_python_is_no_chance(tree: Path) -> None:
    program = tree.parent / "programs/say-order-of-set"
    text = PROGRAMS["content"].replace(" -IS", "").replace("len(text)", "sorted(map(hash, [text]))")
    program.write_text(text)
    program.chmod(0o755)
    assert codebatch.certify(saying("order-of-set"), tree, rounds=1).depends == "content"


def test_files_on_which_a_tool_fails_are_left_out(tree: Path) -> None:
    found = codebatch.certify(saying("choosy"), tree, rounds=1)
    assert (found.depends, found.files) == ("content", 5)
    assert found.failed == ("a/two.txt", "c/four.txt")
    empty = codebatch.certify(saying("hating"), tree, rounds=1)
    assert (empty.depends, empty.files, len(empty.failed)) == ("content", 1, 6)


def test_the_same_seed_gives_the_same_trials(tree: Path) -> None:
    first, second = (codebatch.certify(saying("number"), tree, seed=7) for _ in range(2))
    assert first == second
    more = codebatch.certify(saying("content"), tree, rounds=3)
    assert more.commands > codebatch.certify(saying("content"), tree, rounds=1).commands


@pytest.mark.slow
def test_a_tool_for_one_file_at_a_time_is_tried_on_a_part(tree: Path) -> None:
    write_tree(tree, {f"many/{number}.txt": f"{number}\n" for number in range(40)})
    found = codebatch.certify(saying("content", batch=1), tree, rounds=1)
    assert (found.files, found.depends) == (20, "content")


def test_what_cannot_be_tried_is_an_error(tree: Path) -> None:
    with pytest.raises(TaskFailedError, match="no way"):
        codebatch.certify(saying("broken"), tree)
    (tree / "c/five.txt").write_text("not empty")
    with pytest.raises(TaskFailedError, match="AssertionError"):
        codebatch.certify(saying("hating"), tree)
    with pytest.raises(UsageError, match="is given no file"):
        codebatch.certify(saying("content", files={"include": ["*.absent"]}), tree)
    with pytest.raises(TaskNotFoundError, match="unknown tool: absent"):
        codebatch.certify("absent", tree)


def test_configuration_is_hidden_unless_it_is_named(tree: Path) -> None:
    description = tree.parent / "siblings.json"
    document = {**saying("siblings").config, "name": "mine", "direct_configs": ["mark.cfg"]}
    description.write_text(json.dumps(document))
    assert codebatch.certify(description, tree).depends == "content"
    read = codebatch.certify(description, tree, read_configs=["mark.cfg"])
    # It is part of the settings then, and the same for all batches.
    assert read.depends == "path"


def test_rules_of_ruff_that_look_for_siblings_are_found(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": "", "pkg/a.py": "x = 1\n", "pkg/b.py": "y = 2\n"}
    ruff = load_tool_document("ruff")
    place = ruff["run"].index("check") + 1
    run = [*ruff["run"][:place], "--select", "ALL", *ruff["run"][place:]]
    changed = {**ruff, "run": run, "depends": "content", "siblings": []}
    found = codebatch.certify(codebatch.tool(**changed), write_tree(tmp_path, files))
    assert (found.depends, found.siblings, found.holds) == ("siblings", ("__init__.py",), False)
    assert {f.code for one in found.differences for f in one.added} == {"INP001"}


@pytest.mark.oracle
def test_a_type_checker_needs_the_project(tmp_path: Path) -> None:
    files = {
        "a.py": "def f() -> int:\n    return 1\n",
        "b.py": "import a\n\nx: str = a.f()\n",
        "c.py": "import a\n\na.f(1)\n",
    }
    mypy = codebatch.tool(**{**load_tool_document("mypy"), "depends": "path"})
    found = codebatch.certify(mypy, write_tree(tmp_path, files))
    assert (found.described, found.depends, found.holds) == ("path", "project", False)
    assert codebatch.certify("mypy", tmp_path).holds


def test_the_command_says_what_holds(tree: Path, main: Main) -> None:
    for name, code in (("content", 0), ("siblings", 1), ("chance", 1)):
        file = tree.parent / f"{name}.json"
        file.write_text(json.dumps(saying(name).config))
        done = main("tool", "certify", file, tree, "--json")
        assert done.code == code
        document = json.loads(done.stdout)
        jsonschema.Draft202012Validator(load_schema("cli.tool-certify")).validate(document)
        assert (document["depends"], document["holds"]) == (DEPENDS[name], code == 0)
    lines = main("tool", "certify", tree.parent / "siblings.json", tree).out.splitlines()
    assert lines[0].startswith("siblings: 7 files, ")
    assert "  + 1:1 siblings no mark" in lines
    assert lines[-2:] == [
        "depends on: siblings (mark.cfg)",
        "described as: content, which is less: kept results would be wrong",
    ]
    lines = main("tool", "certify", tree.parent / "content.json", tree).out.splitlines()
    assert lines[1:] == ["depends on: content", "described as: content"]
    lines = main("tool", "certify", tree.parent / "chance.json", tree).out.splitlines()
    assert "does not say the same twice" in lines[-1]
    assert main("tool", "certify", "absent", tree).code == 2
    assert main("tool", "certify", tree.parent / "content.json", tree, "--rounds", "0").code == 2
