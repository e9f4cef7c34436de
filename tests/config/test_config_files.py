"""Configuration files: which one holds, what it may say, and what of it reaches commands."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, Outcome, write_tree

import codebatch
from codebatch.config import KEYS
from codebatch.config.keys import config_schema
from codebatch.model.errors import ConfigInvalidError, ConfigNotFoundError, ConfigUntrustedError
from codebatch.model.resources import load_schema

Main = Callable[..., Outcome]
TREE: dict[str, str | bytes] = {
    "src/app.py": "import os\n",
    "src/gen/made.py": "import sys\n",
    "tests/test_app.py": "import re\n",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree, which is the current folder."""
    root = write_tree(tmp_path / "tree", TREE)
    monkeypatch.chdir(root)
    return root


def say(folder: Path, text: str, name: str = "codebatch.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def shown(main: Main, *words: str) -> dict[str, dict[str, Any]]:
    """The rows of ``config show`` by key."""
    done = main(*words, "config", "show", "--json")
    assert done.code == 0, done
    jsonschema.validate(json.loads(done.out), load_schema("cli.config-show"))
    return {row["key"]: row for row in json.loads(done.out)["keys"]}


def error(done: Outcome) -> dict[str, Any]:
    assert done.code == 2, done
    found: dict[str, Any] = json.loads(done.out)["error"]
    return found


def test_the_nearest_file_wins(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say(here, '[tool.codebatch]\npipeline = "full"\n', "pyproject.toml")
    assert codebatch.load_config().get("pipeline") == "full"
    say(here, 'pipeline = "analyze"\n')  # of one folder, before pyproject.toml
    assert codebatch.load_config().get("pipeline") == "analyze"
    say(here / "src", '[project]\nname = "codebatch"\n', "pyproject.toml")  # without the table
    monkeypatch.chdir(here / "src")
    assert codebatch.load_config().get("pipeline") == "analyze"
    say(here / "src", "[tool.codebatch]\n", "pyproject.toml")  # which says nothing, but is one
    assert codebatch.load_config().get("pipeline") is None


def test_without_a_file_nothing_is_said(here: Path, main: Main) -> None:
    assert dict(codebatch.load_config().values) == {}
    assert {row["origin"] for row in shown(main).values()} == {"default"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('pipelin = "full"\n', "unknown key 'pipelin'"),
        ("pipeline = 3\n", "pipeline: 3 is no text"),
        ("pipeline = 2026-01-02\n", "pipeline: 2026-01-02 is no text"),
        ("pipeline" + ".a" * 90 + " = 1\n", "pipeline: a table is no text"),
        ("a" + ".a" * 30_000 + " = 1\n", "a key has more than 100 parts"),
        ("[" + '\'a\' . "\\"b".' * 60 + "c]\n", "a key has more than 100 parts"),
        ("settings" + ".a" * 90 + " = 1\n", "settings: a: it is nested too deeply"),
        ("settings.lint.a = 12:00:00\n", "settings: lint: 12:00:00 is a time: write a text"),
        ("settings.lint.a = [nan]\n", "settings: lint: nan is no number"),
        ("a" * 5_000 + " = 1\n", "unknown key 'aaa"),
        ('tasks = "lint"\n', "tasks: 'lint' is no list"),
        ("tasks = [1]\n", "tasks: 1 is no text"),
        ('max-new = "3"\n', "max-new: '3' is no whole number"),
        ("max-new = -1\n", "max-new: -1 is less than 0"),
        ("max-new = true\n", "max-new: True is no whole number"),
        ('fail-on = "worst"\n', "fail-on: 'worst' is none of error, warning, info"),
        ("settings = {lint = 3}\n", "settings: lint: 3 is no table"),
        ('store = ""\n', "store: it is empty"),
        ("pipeline = \n", "no TOML"),
        ("a = " + "[" * 50_000, "no TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(
    text: str, message: str, here: Path, main: Main
) -> None:
    say(here, text)
    found = error(main("config", "show", "--json"))
    assert found["code"] == "CONFIG_INVALID"
    assert found["message"].startswith("codebatch.toml: ")
    assert message in found["message"]
    assert main("--no-config", "config", "show").code == 0
    assert main("scan", "--help").code == 0


def test_an_unknown_key_names_the_nearest(here: Path, main: Main) -> None:
    say(here, '[tool.codebatch]\nexlude = ["a"]\n', "pyproject.toml")
    found = error(main("config", "show", "--json"))
    assert found["message"] == "pyproject.toml: unknown key 'exlude'"
    assert found["hints"][0] == "the nearest: exclude"


def test_only_files_that_can_be_read_at_once_are_found(
    here: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal() -> str:
        found = error(main("config", "show", "--json"))
        assert found["hints"][0].endswith(f"--config {found['message'].split()[0].strip(':')}")
        return str(found["message"])

    path = here / "codebatch.toml"
    monkeypatch.chdir(here / "src")
    os.mkfifo(path)
    assert refusal() == "../codebatch.toml is no plain file"
    path.unlink()
    path.mkdir()
    assert refusal() == "../codebatch.toml is no plain file"
    path.rmdir()
    path.symlink_to("elsewhere.toml")
    say(here, 'pipeline = "parse"\n', "elsewhere.toml")
    assert "symbolic link" in refusal()
    assert shown(main, "--config", "../codebatch.toml")["pipeline"]["value"] == "parse"
    path.unlink()
    path.write_bytes(b"#" * (2**16 + 1))
    found = error(main("config", "show", "--json"))
    assert "larger than" in found["message"]
    assert found["hints"] == ["leave it out: --no-config"]
    done = main("--config", "../codebatch.toml", "config", "show", "--json")
    assert not error(done)["hints"]


def test_a_shared_file_is_passed_over_only_if_it_says_nothing(here: Path, main: Main) -> None:
    path = here / "pyproject.toml"
    path.mkdir()
    assert shown(main)["store"]["origin"] == "default"
    path.rmdir()
    path.symlink_to("elsewhere.toml")
    assert shown(main)["store"]["origin"] == "default"  # it leads nowhere
    say(here, "[project]\n", "elsewhere.toml")
    assert shown(main)["store"]["origin"] == "default"
    say(here, "[tool.codebatch]\n", "elsewhere.toml")
    assert "symbolic link" in error(main("config", "show", "--json"))["message"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read_is_an_error(here: Path, main: Main) -> None:
    say(here, "").chmod(0)
    found = error(main("config", "show", "--json"))
    assert found["message"] == "cannot read codebatch.toml: Permission denied"


def test_a_byte_order_mark_is_no_part_of_the_text(here: Path, main: Main) -> None:
    say(here, '\ufeffpipeline = "parse"\n')
    row = shown(main)["pipeline"]
    assert (row["value"], row["line"]) == ("parse", 1)


def test_who_says_what(here: Path, main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    say(
        here,
        '# pipeline = "no"\nstore = "kept"\nexclude = [\n  "a",\n]\n"pipeline" = "parse"\n'
        "[settings.lint]\nmax_line_length = 90\n",
    )
    found = shown(main)
    assert [(found[key]["where"], found[key]["line"]) for key in ("store", "pipeline")] == [
        ("codebatch.toml", 2),
        ("codebatch.toml", 6),
    ]
    assert found["settings"]["line"] == 7
    assert found["base"]["origin"] == "default"
    monkeypatch.setenv("CODEBATCH_STORE", "other")
    assert (row := shown(main)["store"])["origin"] == "environment"
    assert row["value"] == "other"
    told = main("config", "show", "--origin").out
    assert 'pipeline     "parse"  (codebatch.toml:6)' in told


def test_lines_within_texts_are_no_keys(here: Path, main: Main) -> None:
    say(here, 'base = """\npipeline = "no"\n"""\npipeline = "parse"\n')
    assert shown(main)["pipeline"]["line"] == 4


def test_values_are_defaults_of_options(
    here: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(here, 'store = "kept"\npipeline = "parse"\nfail-on = "warning"\n[settings.lint]\n')
    done = main("scan", ".", "--json", "--scheduler", "sync")
    assert done.code == 0, done
    assert json.loads(main("summary", "--json").out)["pipeline"] == "parse"
    gate = main("scan", ".", "--pipeline", "full", "--scheduler", "sync")
    assert gate.code == 1
    assert "--fail-on warning" in gate.err
    assert "--store" not in gate.out  # the next command finds the file as well
    monkeypatch.chdir(here / "src")
    assert json.loads(main("batches", "--json").out)[0]["pipeline"] == "parse"
    assert main("--no-config", "batches").code == 4
    monkeypatch.setenv("CODEBATCH_STORE", str(here / "second"))
    assert main("batches").code == 4


def test_a_batch_that_is_there_has_its_own_tasks(here: Path, main: Main) -> None:
    main("scan", ".", "--pipeline", "parse", "--scheduler", "sync")
    say(here, 'tasks = ["lint"]\n')
    done = main("plan", "--batch", "latest", "--json")
    assert [task["task_id"] for task in json.loads(done.out)["tasks"]] == ["parse"]


def paths(main: Main) -> list[str]:
    return [row["path"] for row in json.loads(main("files", "--json").out)]


@pytest.mark.parametrize(
    ("folder", "root", "found"),
    [
        (".", ".", ["src/app.py", "tests/test_app.py"]),
        (".", "src", ["app.py"]),
        ("src", "..", ["src/app.py"]),
        ("tests", "../src", ["app.py", "gen/made.py"]),
    ],
)
def test_patterns_are_relative_to_the_file(
    folder: str,
    root: str,
    found: list[str],
    here: Path,
    main: Main,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exclude = "/gen/" if folder == "src" else "/src/gen"
    say(here / folder, f'pipeline = "parse"\nexclude = ["{exclude}"]\ninclude = ["*.py"]\n')
    monkeypatch.chdir(here / folder)
    monkeypatch.setenv("CODEBATCH_STORE", str(here / ".codebatch"))
    done = main("scan", root, "--scheduler", "sync")
    assert done.code == 0, done
    if root == "..":
        assert set(found) <= set(paths(main))
        assert "tests/test_app.py" not in paths(main)
    else:
        assert [path for path in paths(main) if path.endswith(".py")] == found


def test_patterns_of_the_line_take_the_place_of_those_of_the_file(here: Path, main: Main) -> None:
    say(here, 'pipeline = "parse"\nexclude = ["gen"]\ninclude = ["/src/"]\n')
    main("scan", ".", "--include", "*.py", "--scheduler", "sync")
    assert paths(main) == ["src/app.py", "tests/test_app.py"]
    assert "include has nothing of" in main("scan", "tests").err


UNTRUSTED = {
    "tasks": ['["evil.py:task"]', '["evil:task"]', '["./evil.json"]', '["ruff"]'],
    "tools": ['["evil.json"]', '["mypy"]'],
    "pipeline": ['"evil.json"', '"/etc/passwd"'],
    "read-config": ['["ruff.toml"]'],
    "memo": ['"https://example.org/"', '"memo"'],
    "store": ['"../outside"', '"/tmp/outside"', '"link/store"', '"."'],
    "baseline": ['"../known"', '"link/known"'],
}
_OF_SCAN = {"tasks", "tools", "pipeline", "read-config", "store"}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in UNTRUSTED.items() for value in values]
)
def test_a_tree_does_not_say_what_is_run(
    key: str, value: str, here: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "link").symlink_to(here.parent)
    write_tree(here, {"evil.py": "import pathlib\npathlib.Path('pwned').touch()\n"})
    file = say(here, f"{key} = {value}\n")
    config = codebatch.load_config()
    with pytest.raises(ConfigUntrustedError, match=key):
        config.get(key)
    assert shown(main)[key]["refused"]
    if key in _OF_SCAN:
        found = error(main("scan", ".", "--json"))
        assert found["code"] == "CONFIG_UNTRUSTED"
        assert found["hints"] == [
            "name it if you trust it: --config codebatch.toml",
            "or leave it out: --no-config",
        ]
    assert not (here / "pwned").exists()
    assert not (here.parent / "outside").exists()
    assert codebatch.load_config(file).get(key) is not None
    monkeypatch.setenv("CODEBATCH_CONFIG", str(file))
    assert codebatch.load_config().get(key) is not None


TOOL: dict[str, Any] = {
    "files": {"languages": ["python"]},
    "run": ["grep", "-n", "import", "${target}"],
    "version_command": ["grep", "--version"],
    "output": {"format": "lines", "pattern": "^(?P<line>[0-9]+):(?P<message>.*)$"},
}


@pytest.mark.parametrize("how", ["--tool", "--pipeline"])
def test_a_tree_does_not_change_programs_of_the_command_line(
    how: str, here: Path, main: Main
) -> None:
    tool = {"name": "mytool", **TOOL}
    task = {"id": "one", "task": "tool", "config": tool}
    document = tool if how == "--tool" else {"name": "mine", "tasks": [task]}
    (here.parent / "mine.json").write_text(json.dumps(document))
    file = say(here, '[settings.mytool]\nrun = ["sh", "-c", "touch pwned", "${target}"]\n')
    given = ("scan", ".", how, "../mine.json", "--json", "--scheduler", "sync")
    found = error(main(*given))
    assert (found["code"], found["details"]) == ("CONFIG_UNTRUSTED", {"key": "settings"})
    assert found["message"].startswith("codebatch.toml: settings: mytool: ")
    assert found["hints"][1] == "or leave it out: --no-config"
    assert main("--no-config", *given).code != 2
    assert main("--config", file, *given).code != 2
    given_tool = codebatch.tool("mytool", **TOOL)
    with pytest.raises(ConfigUntrustedError):
        codebatch.scan(here, here / "kept", tasks=[given_tool], config=codebatch.load_config())


def test_a_file_that_is_named_may_name_tasks(here: Path, main: Main) -> None:
    task = "import codebatch\n@codebatch.task\ndef todos(file):\n    return ()\n"
    write_tree(here, {"tool/checks.py": task})
    say(here / "tool", 'tasks = ["checks.py:todos"]\nexclude = ["*"]\n[settings.todos]\n')
    done = main("--config", "tool/codebatch.toml", "scan", "src", "--json", "--scheduler", "sync")
    assert done.code == 0, done
    tasks = json.loads(main("tasks", "--json").out)
    assert [one["task_id"] for one in tasks] == ["todos"]


def test_a_file_that_is_named_must_be_there(here: Path, main: Main) -> None:
    assert error(main("--config", "no.toml", "summary", "--json"))["code"] == "CONFIG_NOT_FOUND"
    assert main("--config", "no.toml", "--no-config", "summary").code == 2
    with pytest.raises(ConfigNotFoundError):
        codebatch.load_config("no.toml")


def test_settings_wait_for_a_pipeline_with_the_task(here: Path, main: Main) -> None:
    say(here, "[settings.lint]\nmax_line_length = 3\n[settings.analyze]\n")
    assert main("scan", ".", "--pipeline", "parse", "--scheduler", "sync").code == 0
    done = main("scan", ".", "--ignore", "L101", "--scheduler", "sync")
    assert done.code == 0, done
    codes = {row["code"] for row in json.loads(main("errors", "--json").out)}
    assert codes == {"L003"}
    say(here, "[settings.lnt]\n")
    done = main("scan", ".", "--scheduler", "sync")
    assert done.code == 2
    assert "codebatch.toml: settings: there is no task 'lnt'" in done.err
    assert "the nearest: lint" in done.err


def test_settings_that_do_not_fit(here: Path, main: Main) -> None:
    say(here, "[settings.lint]\nmax_line_length = 'long'\n")
    assert error(main("scan", ".", "--json"))["code"] == "TASK_INVALID"


def test_the_same_in_python(here: Path, tmp_path: Path) -> None:
    say(here, 'store = "kept"\nexclude = ["gen"]\ntasks = ["lint"]\n[settings.lint]\nignore = []\n')
    batch, report = codebatch.scan(here, scheduler="sync", config=codebatch.load_config())
    assert report.status == "done"
    assert batch.path == here / "kept"
    assert [task.id for task in batch.load_status().plan.tasks] == ["lint", "parse"][::-1]
    assert "src/gen/made.py" not in [row["path"] for row in batch.files()]
    config = codebatch.Config({"settings": {"lint": {"max_line_length": 3}}})
    store = codebatch.open_store(tmp_path / "other", create=True)
    made = store.batch(store.snapshot(here), "full", settings=config.settings)
    made.run("sync")
    assert {"L003"} <= {row["code"] for row in made.records(kind="diagnostic")}
    with pytest.raises(ConfigInvalidError, match="unknown key"):
        codebatch.Config({"no": 1})


def test_a_removed_folder_has_no_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    shutil.rmtree(gone)
    assert dict(codebatch.load_config().values) == {}


def test_the_schema_is_that_of_the_table() -> None:
    assert load_schema("configuration") == config_schema()
    page = (REPOSITORY / "docs/configuration.md").read_text(encoding="utf-8")
    assert [key for key in KEYS if f"| `{key}` |" not in page] == []


def test_what_check_compares_with(here: Path, main: Main) -> None:
    per_path = '[per-path."tests/"]\nignore = ["L101"]\n'
    say(here, f'base = "main"\nmax-new = 1\nexclude = ["/src/gen/"]\n{per_path}')
    main("scan", ".", "--name", "main", "--scheduler", "sync")
    new = "import os\nimport json\n"
    write_tree(here, {"src/app.py": new, "src/gen/made.py": new, "tests/test_app.py": new})
    done = main("check", "--json", "--scheduler", "sync")
    assert done.code == 0, done
    assert [one["path"] for one in json.loads(done.out)["new"]] == ["src/app.py"]
    assert main("check", "--max-new", "0", "--scheduler", "sync").code == 1
    say(here, 'base = "main"\nfail-on = "error"\nbaseline = "../known.txt"\n')
    assert error(main("check", "--json"))["code"] == "CONFIG_UNTRUSTED"
