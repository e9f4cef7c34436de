"""What shells offer for values: what the store and the batch of the line have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete, get_completion_class
from conftest import Scanned, write_tree

import codebatch
from codebatch.cli import cli, completion
from codebatch.cli.commands.describe import iter_commands

COMMANDS = dict(iter_commands(cli))
# Options whose values are numbers, sizes, times, or texts of one's own.
FREE = {
    *("--at", "--cluster-timeout", "--config", "--depth", "--draw", "--file-timeout"),
    *("--grace", "--ignore", "--largest", "--limit", "--line", "--lines", "--link-base", "--max"),
    *(
        "--max-file-size",
        "--max-memo-bytes",
        "--max-memo-days",
        "--max-size",
        "--memory-limit",
        "--min",
        "--name",
    ),
    *("--every", "--max-new", "--rev", "--revs", "--rounds", "--seed"),
    *("--sample", "--select", "--shards", "--subset", "--target", "--timeout", "--title"),
    "--wait",
    "--workers",
}


def offers(*words: object, shell: str = "bash") -> list[str]:
    """What is offered for the last word."""
    *before, last = map(str, words)
    found = get_completion_class(shell)
    assert found is not None
    made: ShellComplete = found(cli, {}, "codebatch", "_CODEBATCH_COMPLETE")
    return [item.value for item in made.get_completions(before, last)]


@pytest.fixture
def ask(scanned: Scanned, monkeypatch: pytest.MonkeyPatch) -> Scanned:
    monkeypatch.setenv("CODEBATCH_STORE", str(scanned.path))
    return scanned


def test_every_option_with_a_value_offers_some() -> None:
    for name, command in COMMANDS.items():
        for option in command.params:
            if not isinstance(option, click.Option) or option.is_flag:
                continue
            known = isinstance(option.type, click.Choice) or option.opts[-1] in completion.OPTIONS
            assert known != (option.opts[-1] in FREE), f"{name} {option.opts[-1]}"


def test_ids_and_names(ask: Scanned, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\n"})
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    store = codebatch.open_store(batch.path)
    store.names["mine"] = batch
    where = ("--store", batch.path)
    assert offers("summary", *where, "--batch", "b") == [batch.id]
    assert {"mine", "latest"} <= {*offers("summary", *where, "--batch", "")}
    assert offers("name", "rm", *where, "m") == ["mine"]
    assert ask.batch.id in offers("diff", "batch-")  # of the store that is meant without an option
    snapshot = ask.batch.load_status().plan.snapshot_id
    assert offers("batch", "init", "--snapshot", "snap") == [snapshot]
    assert {snapshot, ask.batch.id} <= {*offers("show", "")}


def test_values_of_the_batch(ask: Scanned) -> None:
    summary = ask.batch.summary()
    codes = sorted(summary["diagnostics"]["by_code"])
    assert offers("errors", "--code", "") == codes
    assert offers("errors", "--code", f"{codes[0]},{codes[1][:-1]}")[-1].startswith(codes[0])
    assert "python" in offers("files", "--language", "py")
    assert offers("errors", "--task", "l") == ["lint"]
    assert "lint" in offers("run", "--task", "l")
    assert offers("errors", "--sort", "-sev") == []  # begins like an option
    assert offers("errors", "--sort", "sev") == ["severity"]
    assert "cognitive_complexity" in offers("top", "--by", "cogn")
    assert offers("query", "outputs", "--kind", "ast,e") == ["ast,edge"]


def test_words_and_files_of_the_shell(ask: Scanned) -> None:
    assert "full" in offers("scan", ".", "--pipeline", "f")
    assert "ruff" in offers("scan", ".", "--tool", "r")
    assert "ruff" in offers("tool", "certify", "r")
    assert offers("run", "--scheduler", "th")[0] == "threads"
    assert offers("files", "--format", "c") == ["csv"]
    assert "sarif" in offers("export", "--format", "s")


def test_paths_of_the_batch(ask: Scanned) -> None:
    paths = [str(row["path"]) for row in ask.batch.files()]
    assert offers("inspect", "pkg/") == [path for path in paths if path.startswith("pkg/")]
    assert offers("explain", "--task", "lint", "--file", "pkg/ca") == ["pkg/cart.py"]


def test_many_paths_are_offered_by_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = write_tree(
        tmp_path / "tree",
        {f"top/{folder}/{number:03}.txt": "" for folder in "ab" for number in range(150)},
    )
    batch, _ = codebatch.scan(tree, tmp_path / "store", pipeline="parse", scheduler="sync")
    monkeypatch.setenv("CODEBATCH_STORE", str(batch.path))
    assert offers("inspect", "") == ["top/a/", "top/b/"]
    assert offers("inspect", "top/a/00") == [f"top/a/00{number}.txt" for number in range(10)]


@pytest.mark.parametrize("words", [("errors", "--code", ""), ("summary", "--batch", "")])
def test_without_a_store_nothing_is_offered(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CODEBATCH_STORE", raising=False)
    assert offers(*words) == []


def told(shell: str, words: str, last: str) -> str:
    """What the program tells the script of a shell."""
    program = Path(sys.executable).parent / "codebatch"
    line = {"COMP_WORDS": f"codebatch {words} {last}", "COMP_CWORD": "2"}
    if shell == "fish":
        line["COMP_CWORD"] = last
    done = subprocess.run(
        [program],
        env={**os.environ, **line, "_CODEBATCH_COMPLETE": f"{shell}_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_values(shell: str, ask: Scanned) -> None:
    assert "pkg/cart.py" in told(shell, "inspect", "pkg/car")


HOSTILE = [
    *("a;touch pwned;.py", "$(touch pwned).py", "`touch pwned`.py", "a b.py", "a\tb.py"),
    *("a\nplain,b.py", "a\x1b[31m.py", "*.py", "{a,b}.py", "~root", "=ls", "-rf", "--help"),
    *(
        "a'b.py",
        'a"b.py',
        "a\\b.py",
        "!1",
        "a#b",
        "a|b",
        "a&b",
        "a>b",
        "a<b",
        "a\u202eb",
        "a\udce9",
    ),
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    """A batch over a folder whose name is hostile, like those of all files but two."""
    base = tmp_path_factory.mktemp("hostile")
    root = base / "x;$(touch pwned)\n\x1b[31m\tplain,y"
    tree = write_tree(root, dict.fromkeys((*HOSTILE, "plain.py", "nä.py"), ""))
    batch, _ = codebatch.scan(tree, base / "store", pipeline="parse", scheduler="sync")
    return batch


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names_that_mean_something_to_a_shell_are_not_offered(
    shell: str, hostile: codebatch.Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEBATCH_STORE", str(hostile.path))
    assert len(hostile.files()) == len(HOSTILE) + 2
    assert offers("files", "--path", "", shell=shell) == ["n\u00e4.py", "plain.py"]
    lines = {"bash": "plain,{0}\n", "fish": "plain,{0}\n", "zsh": "plain\n{0}\n_\n"}[shell]
    assert told(shell, "inspect", "") == "".join(map(lines.format, ("n\u00e4.py", "plain.py")))
    listed = told(shell, "summary", "--batch=").replace("\n", "")
    assert listed.replace("\t", "", shell == "fish").isprintable()
    assert ("touch pwned" in listed) == (shell != "bash")  # which shows no help


def test_bash_runs_nothing_of_a_tree(hostile: codebatch.Batch, tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "codebatch"
    script = """
        eval "$(_CODEBATCH_COMPLETE=bash_source codebatch)"
        COMP_WORDS=(codebatch inspect "") COMP_CWORD=2
        _codebatch_completion codebatch
        printf '%s\\n' "${COMPREPLY[@]}"
        eval "codebatch --version ${COMPREPLY[*]}" >/dev/null 2>&1
        ls
    """
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "CODEBATCH_STORE": str(hostile.path), "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["n\u00e4.py", "plain.py"]
