"""What a hostile tree brings along for tools is not run: packaged ones are tried that are here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import Note, run_cli, write_tree

import codebatch
from codebatch.tasks.tools import tool_names
from codebatch.tasks.tools.catalogue import described, load_tool
from codebatch.tasks.tools.program import (
    MISSING,
    UNKNOWN,
    find_program,
    version_of,
    without_network,
)
from codebatch.tasks.tools.trust import is_given, is_packaged, remember_filled

PYTHON = "import pathlib\npathlib.Path({marker!r}).touch()\n"
NODE = "require('fs').writeFileSync({marker!r}, '');\nmodule.exports = {{}};\n"
SHELL = "touch {marker!r}\n"


def hostile_tree(root: Path, marker: Path) -> Path:
    """A tree in which whatever a tool might load or run makes a file outside of it."""
    python, node, shell = (text.format(marker=str(marker)) for text in (PYTHON, NODE, SHELL))
    loaded = [
        *("conftest.py", "sitecustomize.py", "usercustomize.py", "setup.py", "plugin.py"),
        *("pkg/__init__.py", "pkg/mod.py", "pylint_plugin.py", "ruff.py", "noxfile.py"),
    ]
    scripts = [
        *(".eslintrc.js", ".eslintrc.cjs", "eslint.config.js", "eslint.config.mjs"),
        *("prettier.config.js", ".prettierrc.js", "stylelint.config.js", "index.js"),
        *("postcss.config.js", "biome.js", ".markdownlint.js", ".markdownlint-cli2.cjs"),
    ]
    hooks = "[tool.pylint]\nload-plugins='plugin'\ninit-hook='import plugin'\n"
    return write_tree(
        root,
        {
            **dict.fromkeys(loaded, python),
            **dict.fromkeys(scripts, node),
            "mypy.ini": "[mypy]\nplugins = plugin.py\n",
            "setup.cfg": (
                "[mypy]\nplugins = plugin.py\n[flake8]\nenable-extensions = X1\n"
                "[flake8:local-plugins]\nextension =\n  X1 = plugin:Plugin\npaths = .\n"
            ),
            ".flake8": "[flake8:local-plugins]\nextension =\n  X1 = plugin:Plugin\npaths = .\n",
            "pyproject.toml": f"[tool.mypy]\nplugins = ['plugin.py']\n{hooks}",
            ".pylintrc": "[MAIN]\nload-plugins=plugin\ninit-hook=import plugin\n",
            "ruff.toml": 'extend = "/etc/hostname"\n',
            ".bandit": "[bandit]\nexclude: /\n",
            "package.json": '{"name": "x", "eslintConfig": {"extends": "./index.js"}}\n',
            "tsconfig.json": '{"compilerOptions": {"plugins": [{"name": "./index.js"}]}}\n',
            "node_modules/eslint-plugin-x/index.js": node,
            "node_modules/.bin/eslint": f"#!/bin/sh\n{shell}",
            "ruff": f"#!/bin/sh\n{shell}",
            "script.sh": f"#!/bin/sh\n. ./other.sh\n{shell}",
            ".envrc": shell,
            "a.ts": "const x: number = 1;\n",
            "a.yml": "a: !!python/object/apply:os.system ['true']\n",
            "Dockerfile": "FROM scratch\n",
            "README.md": "# Title\n\nText.\n",
        },
    )


@pytest.mark.oracle
def test_nothing_of_a_hostile_tree_is_run(tmp_path: Path, note: Note) -> None:
    marker = tmp_path / "was-run"
    tree = hostile_tree(tmp_path / "tree", marker)
    for name in ("ruff", "node_modules/.bin/eslint"):
        (tree / name).chmod(0o755)
    here = [
        name
        for name in tool_names()
        if version_of(described(load_tool(name).config)) not in (MISSING, UNKNOWN)
    ]
    assert "ruff" in here
    for name in here:
        codebatch.scan(tree, tmp_path / "store", tasks=[codebatch.tool(name)], scheduler="sync")
        assert not marker.exists(), f"{name} ran something of the tree"
    note(f"tools on a hostile tree: {', '.join(here)}")


def test_configuration_of_a_hostile_tree_changes_nothing(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\n"})
    batch, _ = codebatch.scan(tree, tmp_path / "store", tasks=["ruff"], scheduler="sync")
    before = [record["code"] for record in batch.records(kind="diagnostic")]
    assert "F401" in before
    write_tree(tree, {"ruff.toml": 'lint.ignore = ["ALL"]\n', "pyproject.toml": "[tool.ruff]\n"})
    batch, _ = codebatch.scan(tree, tmp_path / "store", tasks=["ruff"], scheduler="sync")
    found = [record["code"] for record in batch.records(kind="diagnostic", path="a.py")]
    assert found == before


def test_programs_are_not_those_of_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "mine"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".:{tmp_path.name}::/usr/bin:/bin")
    assert find_program("mine") == ""
    assert find_program("./mine") == ""
    assert find_program("../tree/mine") == ""
    assert find_program(str(own)) == str(own)


@pytest.mark.skipif(not without_network(), reason="this machine does not let us take it away")
def test_a_tool_has_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(30)
    thread = threading.Thread(target=lambda: _accept(server), daemon=True)
    thread.start()
    port = server.getsockname()[1]
    script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    program = tmp_path / "bin" / "calls"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\nif sys.argv[1:] == ['--version']: sys.exit(print('1'))\n"
        f"try:\n    {script}\nexcept OSError as error:\n    print('a.py:1: no', error)\n"
        "else:\n    print('a.py:1: connected')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    task = codebatch.tool(
        "calls",
        run=["calls", "${target}"],
        output={"format": "lines", "pattern": r"^(?P<path>.+?):(?P<line>\d+): (?P<message>.*)$"},
    )
    tree = write_tree(tmp_path / "tree", {"a.py": ""})
    batch, _ = codebatch.scan(tree, tmp_path / "store", tasks=[task], scheduler="sync")
    (message,) = [str(record["message"]) for record in batch.records(kind="diagnostic")]
    assert message.startswith("no ")
    server.close()


def _accept(server: socket.socket) -> None:
    try:
        while True:
            server.accept()[0].close()
    except OSError:
        return  # closed


def test_a_command_that_a_store_names_is_not_run(tmp_path: Path) -> None:
    """A batch of a stranger's store; a process that was given nothing is asked to run it."""
    marker = tmp_path / "was-run"
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})
    task = codebatch.tool(
        "evil",
        run=["sh", "-c", f"touch {marker}", "${target}"],
        version_command=["sh", "-c", f"touch {marker}; echo 1"],
        output={"format": "none"},
    )
    (tmp_path / "evil.json").write_text(json.dumps(dict(task.config)))
    fields = {name: value for name, value in task.config.items() if name != "name"}
    whole = codebatch.tool("whole", **{**fields, "depends": "project"})
    for tool in (task, whole):
        store = codebatch.open_store(tmp_path / f"{tool.name}-store", create=True)
        batch = store.batch(store.snapshot(tree), tasks=[tool])
        marker.unlink(missing_ok=True)
        where = ("--batch", batch.id, "--store", store.path)
        for scheduler in ("sync", "processes"):
            done = run_cli("run", *where, "--scheduler", scheduler)
            assert done.code == 2, done
            assert "is none that was given here" in done.err
        for words in (["status"], ["plan"], ["explain", "--task", tool.name, "--file", "a.py"]):
            run_cli(*words, *where)
        run_cli("verify", "--store", store.path)
        run_cli("diagnose", "--store", store.path)
        assert not marker.exists()
    done = run_cli(
        "run",
        "--batch",
        "latest",
        "--store",
        tmp_path / "evil-store",
        "--task",
        tmp_path / "evil.json",
    )
    assert done.code == 0, done
    assert marker.exists()


@pytest.mark.parametrize(
    "change", [{"variables": {"LD_PRELOAD": "./x.so"}}, {"environment": ["A"]}]
)
def test_a_packaged_description_that_was_changed_is_none(change: dict[str, Any]) -> None:
    config = dict(load_tool("ruff").config)
    assert is_packaged(config)
    assert is_packaged({**config, "timeout": 5})
    assert not is_packaged({**config, **change})
    for name in (".eslintrc.js", "ruff.toml"):
        assert not is_packaged({**config, "config_files": {name: "x"}})
    assert not is_packaged({**config, "read_configs": ["ruff.toml"]})
    assert not is_packaged({**config, "files": {"include": ["*"]}})
    assert not is_packaged({**config, "output": {"format": "none"}})


def test_settings_of_a_plan_are_not_a_users(tmp_path: Path) -> None:
    """A plan may have settings of a tool that its own user has named, and no stranger's."""
    ruff = dict(load_tool("ruff").config)
    read = {**ruff, "read_configs": ["ruff.toml"], "config_files": {"ruff.toml": "line-length = 1"}}
    remember_filled(ruff, read)
    assert not is_given(read)
    remember_filled({**ruff, "read_configs": ["ruff.toml"]}, read)
    assert is_given(read)


def test_what_another_user_puts_above_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give files to others")
    above = tmp_path / "temporary"
    above.mkdir()
    (above / ".yamllint-like").write_text("")
    os.chown(above / ".yamllint-like", 12345, 12345)
    monkeypatch.setattr("tempfile.tempdir", str(above))
    task = codebatch.tool(
        "cat",
        run=["cat", "${target}"],
        output={"format": "none"},
        success_codes=[0],
        direct_configs=[".yamllint-like"],
    )
    tree = write_tree(tmp_path / "tree", {"a.py": ""})
    _, report = codebatch.scan(tree, tmp_path / "store", tasks=[task], scheduler="sync")
    assert "is of another user" in str(report.errors[0]["message"])
