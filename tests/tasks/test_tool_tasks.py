"""Programs as tasks: what they are given, what is made of what they say, and how they fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Outcome, cli_command, cli_environment, run_cli, write_tree

import codebatch
from codebatch.model.errors import TaskInvalidError, TaskNotFoundError

Install = Callable[[str, str], str]

# A tool that says `FILE:LINE:1: CODE text` for each line that has TODO.
TODO = """
for name in sys.argv[1:]:
    for number, line in enumerate(open(name, errors="replace"), 1):
        if "TODO" in line:
            print(f"{name}:{number}:1: T1 {line.strip()}")
"""
LINES = {
    "format": "lines",
    "pattern": r"^(?P<path>.+?):(?P<line>\d+):(?P<column>\d+): (?P<code>\S+) (?P<message>.*)$",
}
TREE = {
    "a.py": "x = 1  # TODO one\n",
    "pkg/b.py": "y = 2\n# TODO two\n# TODO three\n",
    "pkg/c.py": "z = 3\n",
    "notes.txt": "TODO not a program\n",
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a program on PATH that logs its arguments, and each call on a line of ``NAME.log``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def add(name: str, body: str) -> str:
        program = folder / name
        program.write_text(
            f"#!{sys.executable}\nimport json, os, sys, time\n"
            "if sys.argv[1:] == ['--version']:\n    print('1.0')\n    sys.exit()\n"
            f"with open({str(tmp_path / (name + '.log'))!r}, 'a') as log:\n"
            f"    log.write(json.dumps(sys.argv[1:]) + '\\n')\n{body}"
        )
        program.chmod(0o755)
        return name

    return add


def calls_of(tmp_path: Path, name: str) -> list[list[str]]:
    log = tmp_path / f"{name}.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def tool(name: str = "todo", **fields: Any) -> codebatch.Task:
    given = {
        "run": [name, "${target}"],
        "files": {"languages": ["python"]},
        "output": LINES,
        "success_codes": [0],
        **fields,
    }
    return codebatch.tool(name, **given)


def scan(tmp_path: Path, *tools: codebatch.Task) -> tuple[codebatch.Batch, codebatch.RunReport]:
    return codebatch.scan(
        tmp_path / "tree", tmp_path / "store", tasks=tools, scheduler="sync", shards=16
    )


def found(batch: codebatch.Batch, task: str = "todo") -> list[tuple[object, ...]]:
    fields = ("path", "line", "code", "message")
    return sorted(
        tuple(record[field] for field in fields)
        for record in batch.records(task=task, kind="diagnostic")
    )


EXPECTED = [
    ("a.py", 1, "T1", "x = 1  # TODO one"),
    ("pkg/b.py", 2, "T1", "# TODO two"),
    ("pkg/b.py", 3, "T1", "# TODO three"),
]


def test_findings_are_those_of_the_tool(tmp_path: Path, install: Install) -> None:
    install("todo", TODO)
    write_tree(tmp_path / "tree", TREE)
    batch, report = scan(tmp_path, tool())
    assert report.status == "done"
    assert found(batch) == EXPECTED
    given = {name for call in calls_of(tmp_path, "todo") for name in call}
    assert given == {"a.py", "pkg/b.py", "pkg/c.py"}


@pytest.mark.parametrize("start", ["", "./", "{folder}/", "file://{folder}/"])
def test_paths_are_those_of_files_however_they_are_printed(
    tmp_path: Path, install: Install, start: str
) -> None:
    prefix = start.replace("{folder}", "{os.getcwd()}")
    install("todo", f"for name in sys.argv[1:]:\n    print(f'{prefix}{{name}}:1:1: T1 seen')")
    write_tree(tmp_path / "tree", {"a b.py": "", "pkg/c.py": "c = 1"})
    batch, _ = scan(tmp_path, tool(output=LINES | {"pattern": LINES["pattern"].replace("+?", "+")}))
    assert [path for path, *_ in found(batch)] == ["a b.py", "pkg/c.py"]


def test_a_second_run_computes_nothing_and_an_edit_one_file(
    tmp_path: Path, install: Install
) -> None:
    install("todo", TODO)
    write_tree(tmp_path / "tree", TREE)
    scan(tmp_path, tool())
    before = len(calls_of(tmp_path, "todo"))
    _, report = scan(tmp_path, tool())
    assert report.files["computed"] == 0
    assert len(calls_of(tmp_path, "todo")) == before
    write_tree(tmp_path / "tree", {"pkg/c.py": "# TODO new\n"})
    batch, report = scan(tmp_path, tool())
    assert calls_of(tmp_path, "todo")[before:] == [["pkg/c.py"]]
    assert report.files["computed"] == 1
    assert found(batch) == [*EXPECTED, ("pkg/c.py", 1, "T1", "# TODO new")]


def test_content_alone_is_looked_at_once(tmp_path: Path, install: Install) -> None:
    install("todo", TODO)
    copies = {f"{name}/same.py": "# TODO\n" for name in "abc"}
    write_tree(tmp_path / "tree", {**copies, "other.pyi": "# TODO\n"})
    batch, _ = scan(tmp_path, tool(depends="content"))
    names = [name for call in calls_of(tmp_path, "todo") for name in call]
    assert [Path(name).name for name in names] == ["file.py", "file.pyi"]
    assert len(found(batch)) == 4
    moved = {"a/same.py": "moved/elsewhere.py"}
    for old, new in moved.items():
        target = tmp_path / "tree" / new
        target.parent.mkdir()
        (tmp_path / "tree" / old).rename(target)
    _, report = scan(tmp_path, tool(depends="content"))
    assert report.files["computed"] == 0


def test_siblings_are_there_by_name_and_empty(tmp_path: Path, install: Install) -> None:
    install(
        "near",
        "for name in sys.argv[1:]:\n"
        "    found = [os.path.join(at, n) for at, _, ns in os.walk('.') for n in ns]\n"
        "    near = sorted(os.path.relpath(n) for n in found if n.endswith('__init__.py'))\n"
        "    sizes = sum(os.path.getsize(n) for n in near)\n"
        "    print(f'{name}:1:1: N1 {near} {sizes}')\n",
    )
    write_tree(
        tmp_path / "tree",
        {"p/__init__.py": "x = 1\n", "p/q/__init__.py": "y = 1\n", "p/q/deep.txt": "", "z.txt": ""},
    )
    described = tool(
        "near",
        files={"include": ["*.txt"]},
        depends="siblings",
        siblings=["__init__.py"],
        batch=1,
    )
    batch, _ = scan(tmp_path, described)
    assert [row[3] for row in found(batch, "near")] == [
        "['p/__init__.py', 'p/q/__init__.py'] 0",
        "[] 0",
    ]
    (tmp_path / "tree/p/__init__.py").unlink()
    before = len(calls_of(tmp_path, "near"))
    scan(tmp_path, described)
    assert calls_of(tmp_path, "near")[before:] == [["p/q/deep.txt"]]


def test_a_project_tool_is_run_once_over_all_files(tmp_path: Path, install: Install) -> None:
    install(
        "all",
        "names = sorted(os.path.join(at, n)[2:] for at, _, ns in os.walk('.') for n in ns)\n"
        "print(f'a.py:1:1: A1 {names}')\nprint('/outside.py:1:1: A1 elsewhere')\n",
    )
    write_tree(tmp_path / "tree", {**TREE, "all.ini": "[all]\n"})
    described = tool("all", depends="project", code_configs=["all.ini"])
    batch, report = scan(tmp_path, described)
    assert report.status == "done"
    names = "['a.py', 'notes.txt', 'pkg/b.py', 'pkg/c.py']"
    assert found(batch, "all") == [("a.py", 1, "A1", names)]
    assert len(calls_of(tmp_path, "all")) == 1
    scan(tmp_path, described)
    assert len(calls_of(tmp_path, "all")) == 1
    write_tree(tmp_path / "tree", {"notes.txt": "other\n"})
    scan(tmp_path, described)
    assert len(calls_of(tmp_path, "all")) == 2


def test_configuration_is_hidden_unless_it_is_named(tmp_path: Path, install: Install) -> None:
    install(
        "conf",
        "text = open('conf.ini').read() if os.path.exists('conf.ini') else 'none'\n"
        "print(f'{sys.argv[1]}:1:1: C1 {text}')\n",
    )
    write_tree(tmp_path / "tree", {"a.py": "", "conf.ini": "seen"})
    described = tool("conf", direct_configs=["conf.ini"])
    batch, _ = scan(tmp_path, described)
    assert [row[3] for row in found(batch, "conf")] == ["none"]
    reading = tool("conf", direct_configs=["conf.ini"], read_configs=["conf.ini"])
    batch, _ = scan(tmp_path, reading)
    assert [row[3] for row in found(batch, "conf")] == ["seen"]
    write_tree(tmp_path / "tree", {"conf.ini": "edited"})
    batch, report = scan(tmp_path, reading)
    assert [row[3] for row in found(batch, "conf")] == ["edited"]
    assert report.files["computed"] > 0


def test_hidden_configuration_is_not_shown_as_a_file_to_look_at(
    tmp_path: Path, install: Install
) -> None:
    install("todo", "import os\nprint('\\n'.join(f'{n}:1:1: T1 ran' for n in sys.argv[1:]))")
    settings = {"a.js": "1\n", "todo.config.js": "2\n", "pkg/todo.config.js": "3\n"}
    write_tree(tmp_path / "tree", settings)
    fields = {"files": {"languages": ["javascript"]}, "code_configs": ["todo.config.js"]}
    batch, _ = scan(tmp_path, tool(**fields))
    assert [path for path, *_ in found(batch)] == ["a.js"]
    skipped = [(one["path"], one["reason"]) for one in batch.records(kind="skip")]
    reason = "configuration of the tool"
    assert skipped == [("pkg/todo.config.js", reason), ("todo.config.js", reason)]
    read, _ = scan(tmp_path, tool(**fields, read_configs=["todo.config.js"]))
    assert [path for path, *_ in found(read)] == sorted(settings)


def test_a_tool_has_its_own_home_and_few_variables(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    monkeypatch.setenv("WANTED", "yes")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "tree"))
    install(
        "env",
        "own = os.path.realpath(os.environ['HOME']).startswith(os.path.realpath('..'))\n"
        "left = sorted({'SECRET_TOKEN', 'WANTED', 'SET', 'PYTHONPATH'} & set(os.environ))\n"
        "print(f'{sys.argv[1]}:1:1: E1 {own} {left} {os.listdir(os.environ[\"HOME\"])}')\n",
    )
    write_tree(tmp_path / "tree", {"a.py": ""})
    batch, _ = scan(tmp_path, tool("env", environment=["WANTED"], variables={"SET": "1"}))
    assert [row[3] for row in found(batch, "env")] == ["True ['SET', 'WANTED'] []"]
    monkeypatch.setenv("WANTED", "other")
    again, report = scan(tmp_path, tool("env", environment=["WANTED"], variables={"SET": "1"}))
    assert again.id != batch.id
    assert report.files["computed"] == 1
    assert "s3cret" not in "".join(
        path.read_text(errors="replace") for path in (tmp_path / "store").rglob("*.json")
    )


def test_links_of_a_tree_are_not_followed(tmp_path: Path, install: Install) -> None:
    install("todo", TODO)
    secret = tmp_path / "secret.py"
    secret.write_text("# TODO secret\n")
    write_tree(tmp_path / "tree", {"a.py": "# TODO\n"})
    (tmp_path / "tree/link.py").symlink_to(secret)
    batch, _ = scan(tmp_path, tool(files={"include": ["*.py"]}))
    assert [row[0] for row in found(batch)] == ["a.py"]
    skips = [(row["path"], row["reason"]) for row in batch.records(kind="skip")]
    assert skips == [("link.py", "symbolic link")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "fields", "words"),
    [
        ("sys.stderr.write('no such option'); sys.exit(9)", {}, "exit code 9: no such option"),
        ("print('{')", {"output": {"format": "sarif"}}, "todo"),
        ("time.sleep(60)", {"timeout": 1}, "more than 1 seconds"),
        ("os.kill(os.getpid(), 11)", {}, "exit code -11"),
    ],
    ids=["exit code", "rubbish", "time", "crash"],
)
def test_a_tool_that_always_fails_fails_alone(
    tmp_path: Path, install: Install, body: str, fields: dict[str, Any], words: str
) -> None:
    install("todo", body + "\n")
    install("good", TODO)
    write_tree(tmp_path / "tree", TREE)
    batch, report = scan(tmp_path, tool(**fields), tool("good"))
    assert report.status == "failed"
    messages = {str(error["message"]) for error in report.errors}
    assert len(messages) == 1
    assert words in messages.pop()
    assert found(batch, "good") == EXPECTED
    install("todo", TODO)
    if "output" not in fields:
        assert batch.run("sync").status == "done"
        assert found(batch) == EXPECTED


def test_an_output_that_is_not_written(tmp_path: Path, install: Install) -> None:
    write_tree(tmp_path / "tree", {"a.py": ""})
    install("silent", "print('no settings here', file=sys.stderr)")
    output = {"format": "checkstyle", "from": "file"}
    _, report = scan(
        tmp_path, tool("silent", run=["silent", "${output}", "${target}"], output=output)
    )
    (error,) = report.errors
    assert "silent has written no output: no settings here" in str(error["message"])
    assert str(tmp_path) not in str(error["message"])


def test_a_missing_tool_says_how_to_get_it(tmp_path: Path, install: Install) -> None:
    install("good", TODO)
    write_tree(tmp_path / "tree", TREE)
    missing = tool("no-such-tool", install={"pip": "no-such"})
    batch, report = scan(tmp_path, missing, tool("good"))
    assert report.status == "failed"
    (message,) = {str(error["message"]) for error in report.errors}
    assert message.startswith("no-such-tool is not installed, get it: pip install no-such")
    assert found(batch, "good") == EXPECTED


def test_a_file_that_ends_the_tool_is_found(tmp_path: Path, install: Install) -> None:
    ends = "if any('CRASH' in open(n).read() for n in sys.argv[1:]): os.kill(os.getpid(), 11)\n"
    fails = "if any('FAIL' in open(n).read() for n in sys.argv[1:]): sys.exit('cannot read')\n"
    install("todo", ends + fails + TODO)
    many = {f"f{number}.py": f"# TODO {number}\n" for number in range(40)}
    write_tree(tmp_path / "tree", {**many, "f7.py": "CRASH\n", "f30.py": "FAIL\n"})
    batch, report = scan(tmp_path, tool())
    assert report.status == "done"
    codes = {row[0]: row[2] for row in found(batch)}
    assert {path: code for path, code in codes.items() if code != "T1"} == {
        "f7.py": "E0003",
        "f30.py": "E0002",
    }
    assert len(codes) == 40
    (why,) = [row[3] for row in found(batch) if row[2] == "E0002"]
    assert "cannot read" in str(why)


@pytest.mark.parametrize(
    "output", [LINES, {"format": "json-lines", "fields": {"message": "a"}}, {"format": "none"}]
)
def test_a_traceback_is_a_failure_though_the_exit_code_is_that_of_findings(
    tmp_path: Path, install: Install, output: dict[str, Any]
) -> None:
    crashes = "if any('CRASH' in open(n).read() for n in sys.argv[1:]): raise ValueError('oh')\n"
    install("todo", f"{crashes}{TODO if output == LINES else ''}\nsys.exit(1)\n")
    write_tree(tmp_path / "tree", {**TREE, "bad.py": "CRASH\n"})
    batch, report = scan(tmp_path, tool(output=output, success_codes=[0, 1]))
    assert report.status == "done"
    *others, (path, _, code, message) = sorted(found(batch), key=lambda row: row[0] == "bad.py")
    assert others == (EXPECTED if output == LINES else [])
    assert (path, code) == ("bad.py", "E0002")
    assert "todo failed with exit code 1: Traceback" in str(message)
    assert "ValueError: oh" in str(message)


def test_a_traceback_of_a_tool_that_ends_well_is_none(tmp_path: Path, install: Install) -> None:
    said = "sys.stderr.write('Traceback (most recent call last):\\n')\n"
    install("todo", f"{said}{TODO}")
    write_tree(tmp_path / "tree", TREE)
    assert found(scan(tmp_path, tool())[0]) == EXPECTED


def test_both_streams_are_read(tmp_path: Path, install: Install) -> None:
    install("todo", TODO + "\nprint(f'{sys.argv[1]}:1:1: T2 said', end='', file=sys.stderr)\n")
    write_tree(tmp_path / "tree", {"a.py": "# TODO\n"})
    batch, _ = scan(tmp_path, tool(output={**LINES, "from": "both"}))
    assert [row[2] for row in found(batch)] == ["T1", "T2"]


def test_tools_are_given_on_the_command_line_and_in_pipelines(
    tmp_path: Path, install: Install
) -> None:
    install("todo", TODO)
    write_tree(tmp_path / "tree", TREE)
    document = dict(tool().config)
    (tmp_path / "todo.json").write_text(json.dumps(document))
    out: Outcome = run_cli(
        "scan", tmp_path / "tree", "--tool", tmp_path / "todo.json", "--store", tmp_path / "one"
    )
    assert out.code == 0
    pipeline = {"name": "p", "tasks": [{"id": "todo", "task": "tool", "config": document}]}
    (tmp_path / "p.json").write_text(json.dumps(pipeline))
    out = run_cli(
        "scan", tmp_path / "tree", "--pipeline", tmp_path / "p.json", "--store", tmp_path / "two"
    )
    assert out.code == 0
    batches = [codebatch.open_store(tmp_path / name).find_batch() for name in ("one", "two")]
    assert [found(batch) for batch in batches] == [EXPECTED, EXPECTED]


def test_what_is_no_description_is_refused() -> None:
    with pytest.raises(TaskNotFoundError, match="unknown tool: rufff"):
        codebatch.tool("rufff")
    for fields, words in [
        ({"run": ["./todo", "${target}"]}, "no name"),
        ({"run": ["todo"]}, "it has no files"),
        ({"run": ["todo", "-f${target}"]}, "a word of its own"),
        ({"output": {"format": "lines", "pattern": "("}}, "pattern"),
        ({"depends": "siblings"}, "without names"),
        ({"read_configs": ["a.ini"]}, "no configuration of the tool"),
        ({"bogus": 1}, "bogus"),
    ]:
        with pytest.raises(TaskInvalidError, match=words):
            tool(**fields)  # type: ignore[arg-type]


def test_a_program_may_be_given_by_its_path(tmp_path: Path, install: Install) -> None:
    write_tree(tmp_path / "tree", TREE)
    program = str(tmp_path / "bin" / install("todo", TODO))
    batch, report = scan(tmp_path, tool(run=[program, "${target}"]))
    assert (report.status, len(found(batch))) == ("done", 3)


def test_a_name_of_a_file_is_no_option(tmp_path: Path, install: Install) -> None:
    install("todo", TODO)
    write_tree(tmp_path / "tree", {"-rf.py": "# TODO\n", "@list.py": "# TODO\n"})
    batch, _ = scan(tmp_path, tool())
    assert [row[0] for row in found(batch)] == ["-rf.py", "@list.py"]
    assert all(n[:2] == "./" for call in calls_of(tmp_path, "todo") for n in call)


@pytest.mark.parametrize("depends", ["path", "project"])
def test_a_name_of_a_file_is_no_place_in_another(
    tmp_path: Path, install: Install, depends: str
) -> None:
    walk = "sys.argv[1:] = [f'{at}/{n}' for at, _, ns in os.walk('.') for n in ns]\n"
    install("todo", f"{walk if depends == 'project' else ''}{TODO}")
    spoofs = ["good.py(1): x.py", "good.py(1,2).py", "good.py:7:1: S1 spoof.py"]
    near = ["a: b.py", "good (1).py"]
    files = dict.fromkeys([*spoofs, *near, "good.py"], "# TODO\n")
    write_tree(tmp_path / "tree", files)
    named = "${dir}" if depends == "project" else "${target}"
    batch, _ = scan(tmp_path, tool(depends=depends, run=["todo", named]))
    assert {(row[0], row[2]) for row in found(batch)} == {(n, "T1") for n in (*near, "good.py")}
    skipped = sorted((one["path"], one["reason"]) for one in batch.records(kind="skip"))
    assert skipped == [(name, "its name reads as a place") for name in spoofs]


def test_hostile_descriptions_reach_no_file_outside(tmp_path: Path, install: Install) -> None:
    install("todo", TODO)
    write_tree(tmp_path / "tree", TREE)
    outside = tool(config_files={"../../escaped.py": "# TODO"})
    _, report = scan(tmp_path, outside)
    assert report.status == "failed"
    assert "no path of a file in a tree" in str(report.errors[0]["message"])


def test_processes_agree_with_one(tmp_path: Path, install: Install) -> None:
    install("todo", TODO)
    write_tree(tmp_path / "tree", {f"d{n % 3}/f{n}.py": f"# TODO {n}\n" * n for n in range(60)})
    _, one = scan(tmp_path, tool())
    _, two = codebatch.scan(
        tmp_path / "tree", tmp_path / "other", tasks=[tool()], scheduler="processes", workers=2
    )
    assert one.result == two.result


@pytest.mark.parametrize("form", ["rewrite", "diff"])
def test_changes_are_patches(tmp_path: Path, install: Install, form: str) -> None:
    rewrite = (
        "for name in sys.argv[1:]:\n    text = open(name).read().replace('TODO', 'DONE')\n"
        "    open(name, 'w').write(text)\n"
    )
    diff = (
        "import difflib\nfor name in sys.argv[1:]:\n    old = open(name).readlines()\n"
        "    new = [line.replace('TODO', 'DONE') for line in old]\n"
        "    sys.stdout.writelines(difflib.unified_diff(old, new, name, name))\n"
    )
    install("todo", rewrite if form == "rewrite" else diff)
    write_tree(tmp_path / "tree", TREE)
    batch, report = scan(tmp_path, tool(output={"format": form}))
    assert report.status == "done"
    patches = {str(row["path"]): row for row in batch.records(kind="patch")}
    assert sorted(patches) == ["a.py", "pkg/b.py"]
    assert (patches["pkg/b.py"]["added"], patches["pkg/b.py"]["removed"]) == (2, 2)
    assert (tmp_path / "tree/a.py").read_text() == TREE["a.py"]


def test_processes_look_for_programs_where_their_owner_does(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever `PATH` was when the first child was started."""
    write_tree(tmp_path / "tree", TREE)
    codebatch.scan(tmp_path / "tree", tmp_path / "store", scheduler="processes", workers=2)
    monkeypatch.setenv("PATH", f"{tmp_path / 'later'}{os.pathsep}{os.environ['PATH']}")
    program = tmp_path / "bin" / install("todo", TODO)
    (tmp_path / "later").mkdir()
    program.rename(tmp_path / "later/todo")
    batch, report = codebatch.scan(
        tmp_path / "tree", tmp_path / "store", tasks=[tool()], scheduler="processes", workers=2
    )
    assert report.status == "done"
    assert found(batch) == EXPECTED


def test_a_version_that_cannot_be_told_is_an_error(tmp_path: Path, install: Install) -> None:
    install("todo", TODO)
    write_tree(tmp_path / "tree", TREE)
    with pytest.raises(TaskInvalidError, match="does not tell its version"):
        scan(tmp_path, tool(version_command=["todo", "--no-such"]))


def test_a_tool_that_is_replaced_is_another(tmp_path: Path, install: Install) -> None:
    """In one process, which has asked for the version before."""
    install("todo", TODO)
    write_tree(tmp_path / "tree", TREE)
    first, _ = scan(tmp_path, tool())
    program = tmp_path / "bin/todo"
    program.write_text(program.read_text().replace("print('1.0')", "print('2.0.0')"))
    second, report = scan(tmp_path, tool())
    assert second.id != first.id
    assert report.files["computed"] == len(TREE)


def test_names_of_files_stand_for_nothing(tmp_path: Path, install: Install) -> None:
    install("todo", TODO)
    names = ["${folder}/files/a.py", "${argfile}.py", "${dir}/b.py"]
    write_tree(tmp_path / "tree", {"a.py": "", **dict.fromkeys(names, "# TODO\n")})
    batch, report = scan(tmp_path, tool())
    assert report.status == "done"
    assert [row[0] for row in found(batch)] == sorted(names)


def test_paths_of_the_private_folder_are_in_no_record(tmp_path: Path, install: Install) -> None:
    install(
        "talks",
        "for name in sys.argv[1:]:\n"
        "    here, log = os.getcwd(), os.environ['HOME'] + '/x-1'\n"
        "    print(f'{here}/{name}:1:1: T1 in {here}/{name} of {here}, log {log}')\n"
        "    if 'FAIL' in open(name).read(): sys.exit(f'{here}/{name} and {log}')\n",
    )
    write_tree(tmp_path / "tree", {"a.py": "", "b.py": "FAIL\n"})
    batch, _ = scan(tmp_path, tool("talks"))
    said = [str(row[3]) for row in found(batch, "talks")]
    assert said[0] == "in a.py of ., log (a file of its own)"
    assert "talks failed with exit code 1: b.py and (a file of its own)" in said[1]


def test_settings_of_a_tree_are_about_its_paths(tmp_path: Path, install: Install) -> None:
    install("names", "for name in sys.argv[1:]: print(f'{name}:1:1: N1 {name}')\n")
    write_tree(tmp_path / "tree", {"sub/a.py": "", "sub/conf.ini": "x"})
    fields: dict[str, Any] = {"depends": "content", "direct_configs": ["conf.ini"]}
    batch, _ = scan(tmp_path, tool("names", **fields))
    assert str(found(batch, "names")[0][3]).endswith("/file.py")
    batch, _ = scan(tmp_path, tool("names", **fields, read_configs=["conf.ini"]))
    assert [row[3] for row in found(batch, "names")] == ["sub/a.py"]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no program here says how to die")
def test_a_tool_ends_with_the_process_that_was_killed(tmp_path: Path, install: Install) -> None:
    mark = tmp_path / "pid"
    install("slow", f"open({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(120)\n")
    write_tree(tmp_path / "tree", {"a.py": ""})
    (tmp_path / "slow.json").write_text(json.dumps(dict(tool("slow").config)))
    words = ("scan", tmp_path / "tree", "--tool", tmp_path / "slow.json", "--scheduler", "sync")
    process = subprocess.Popen(
        cli_command(*words, "--store", tmp_path / "store"), env=cli_environment()
    )
    try:
        wait_until(lambda: mark.exists() and mark.read_text() != "")
    finally:
        process.kill()
        process.wait()
    pid = int(mark.read_text())
    wait_until(lambda: not psutil.pid_exists(pid))


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
