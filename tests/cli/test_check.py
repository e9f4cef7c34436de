"""``check``: what is new since a base, in every form, and the exit code that says so."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, replace_task, write_tree
from repositories import git, git_init, without_own_settings

import codebatch
from codebatch.export.links import GITHUB, GITLAB
from codebatch.snapshot.git.base import GITHUB_BASE, GITLAB_BASE

Main = Callable[..., Outcome]
BASE = {
    "pkg/app.py": "import os\nimport re\n\n\ndef use():\n    return helper()\n",
    "pkg/old.py": "import sys\nimport json\n\nNAMES = ['one', 'two', 'three', 'four']\n",
}
# One new finding, one fixed, lines moved, a file renamed.
HEAD = {
    "pkg/app.py": "# moved\nimport os\nimport io\n\n\ndef use():\n    return helper()\n",
    "pkg/new.py": BASE["pkg/old.py"],
}


@pytest.fixture(autouse=True)
def no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a build says of itself, as where these tests are run in one."""
    for name in (*GITHUB, *GITLAB, GITHUB_BASE, GITLAB_BASE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def compared(tmp_path: Path) -> tuple[Path, Path]:
    """A tree with changes since a batch named ``main``, and its store."""
    tree = write_tree(tmp_path / "tree", {**BASE})
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    codebatch.open_store(batch.path).names["main"] = batch
    (tree / "pkg/old.py").unlink()
    return write_tree(tree, {**HEAD}), batch.path


def words(compared: tuple[Path, Path], *more: object) -> tuple[object, ...]:
    tree, store = compared
    return ("check", tree, "--store", store, "--base", "main", "--scheduler", "sync", *more)


def test_what_is_new_is_shown_with_its_source(compared: tuple[Path, Path], main: Main) -> None:
    done = main(*words(compared))
    assert done.code == 1
    assert done.out.splitlines()[:6] == [
        "pkg/app.py",
        "  3:8 warning L101 `io` imported but unused",
        "    3 | import io",
        "      |        ^",
        "",
        "1 new finding: 1 warning; 1 fixed, 3 as before",
    ]
    assert done.err.splitlines()[-1] == "exit code 1: --fail-on warning, 1 new finding"
    plain = main(*words(compared, "--plain")).out.splitlines()
    assert plain[0] == "pkg/app.py:3:8: warning L101 `io` imported but unused"


def test_json_has_both_batches_and_what_differs(compared: tuple[Path, Path], main: Main) -> None:
    document = json.loads(main(*words(compared, "--json")).stdout)
    store = codebatch.open_store(compared[1])
    assert document["base"] == store.names["main"]
    assert document["head"] == store.find_batch("latest").id
    (new,), (fixed,) = document["new"], document["fixed"]
    assert (new["path"], new["line"], new["code"], new["change"]) == (
        "pkg/app.py",
        3,
        "L101",
        "added",
    )
    assert (fixed["path"], fixed["line"], fixed["change"]) == ("pkg/app.py", 2, "removed")
    assert document["summary"] == {
        "new": 1,
        "fixed": 1,
        "suppressed": 0,
        "unchanged": 3,
        "stale": 0,
        "by_severity": {"warning": 1},
        "by_code": {"L101": 1},
    }


def test_nothing_new_ends_with_zero(compared: tuple[Path, Path], main: Main) -> None:
    write_tree(compared[0], {"pkg/app.py": "# moved\n" + BASE["pkg/app.py"]})
    done = main(*words(compared))
    assert done.code == 0
    assert done.out == "0 new findings; 0 fixed, 4 as before\n"


@pytest.mark.parametrize(
    ("options", "code"),
    [(("--fail-on", "error"), 0), (("--fail-on", "info"), 1), (("--max-new", "1"), 0)],
)
def test_the_gate(
    compared: tuple[Path, Path], main: Main, options: tuple[str, ...], code: int
) -> None:
    assert main(*words(compared, *options)).code == code


def test_several_forms_at_once(compared: tuple[Path, Path], main: Main, tmp_path: Path) -> None:
    forms = [f"{name}:{tmp_path / name}" for name in ("text", "json", "jsonl", "sarif", "github")]
    done = main(*words(compared), *(word for form in forms for word in ("--format", form)))
    assert (done.code, done.stdout) == (1, b"")
    assert (tmp_path / "text").read_text().startswith("pkg/app.py\n")
    document = json.loads((tmp_path / "json").read_text())
    rows = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert rows == document["new"] + document["fixed"]
    results = json.loads((tmp_path / "sarif").read_text())["runs"][0]["results"]
    states = sorted(result["baselineState"] for result in results)
    assert states == ["new", *["unchanged"] * 3]
    assert (tmp_path / "github").read_text().startswith("::warning file=pkg/app.py,line=3,")


def test_a_base_that_is_done_is_not_computed(compared: tuple[Path, Path], main: Main) -> None:
    """Nothing of the base is, and of the head only the file that changed."""
    store = codebatch.open_store(compared[1])
    attempts = {state.attempt for state in store.find_batch("main").load_status().present()}
    report = store.check(compared[0], "main", scheduler="sync")
    assert report.base == store.names["main"]
    after = store.find_batch("main").load_status()
    assert {state.attempt for state in after.present()} == attempts
    head = store.find_batch(report.head).load_status().of_files
    assert sum(state.computed for state in head.present()) == len(head.plan.tasks)


def test_without_a_base_it_says_what_to_do(tmp_path: Path, main: Main) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})
    done = main("check", tree, "--store", tmp_path / "store", "--json")
    assert done.code == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "BASE_NOT_FOUND"
    assert any("--baseline" in hint for hint in error["hints"])


# -- the same part of both trees -------------------------------------------------------------------


def counts(main: Main, *more: object) -> tuple[int, ...]:
    """Return how many findings are new, fixed, suppressed, and as before."""
    done = main("check", "--scheduler", "sync", "--json", *more)
    summary = json.loads(done.stdout)["summary"]
    return tuple(summary[name] for name in ("new", "fixed", "suppressed", "unchanged"))


PARTS = {"sub/a.py": "import os\nimport re\n", "b.py": "import io\n"}


@pytest.fixture
def parts(tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree that was scanned as ``whole``, without a folder as ``part``, and that folder as
    ``sub``; then a finding has gone.
    """
    monkeypatch.setenv("CODEBATCH_STORE", str(tmp_path / "store"))
    tree = write_tree(tmp_path / "tree", {**PARTS})
    monkeypatch.chdir(tree)
    words = ("--task", "lint", "--scheduler", "sync", "--quiet", "--name")
    assert main("scan", ".", *words, "whole").code == 0
    assert main("scan", ".", "--exclude", "sub", *words, "part").code == 0
    assert main("scan", "sub", *words, "sub").code == 0
    write_tree(tree, {"sub/a.py": "x = 1\nimport os\n"})
    return tree


def test_what_is_checked_is_compared_with_the_same_part(parts: Path, main: Main) -> None:
    lint = ("--task", "lint", "--base")
    assert counts(main, ".", *lint, "whole") == (0, 1, 0, 2)
    assert counts(main, "sub", *lint, "whole") == (0, 1, 0, 1)
    assert counts(main, "sub", *lint, "sub") == (0, 1, 0, 1)
    assert counts(main, "b.py", *lint, "whole") == (0, 0, 0, 1)
    assert counts(main, "--exclude", "sub", *lint, "whole") == (0, 0, 0, 1)
    assert counts(main, "--exclude", "sub", *lint, "part") == (0, 0, 0, 1)
    assert counts(main, "--include", "sub/", *lint, "whole") == (0, 1, 0, 1)
    snapshot = codebatch.open_store().find_batch("whole").load_status().plan.snapshot_id
    assert counts(main, "sub", *lint, snapshot) == (0, 1, 0, 1)


@pytest.mark.parametrize(
    ("base", "words"),
    [("part", "leave out 1 of the files to check: sub/a.py"), ("sub", "the base is of sub alone")],
)
def test_a_base_of_a_part_alone_is_an_error(parts: Path, main: Main, base: str, words: str) -> None:
    done = main("check", ".", "--base", base, "--scheduler", "sync")
    assert done.code == 2
    assert words in done.err


def test_a_folder_that_the_base_has_not_is_all_new(parts: Path, main: Main) -> None:
    write_tree(parts, {"more/c.py": "import os\n"})
    done = main("check", "more", "--base", "whole", "--scheduler", "sync")
    assert done.code == 1
    assert "note: the base has no such folder: all is new" in done.err


def test_a_finding_that_is_suppressed_is_not_fixed(compared: tuple[Path, Path], main: Main) -> None:
    text = BASE["pkg/app.py"].replace("import re", "import re  # codebatch-ignore: known")
    write_tree(compared[0], {"pkg/app.py": text})
    done = main(*words(compared))
    assert (done.code, done.out) == (0, "0 new findings; 0 fixed, 1 suppressed, 3 as before\n")
    assert "0 fixed, 1 suppressed, 3 as before" in main(*words(compared, "--format", "md")).out
    summary = json.loads(main(*words(compared, "--json")).stdout)["summary"]
    assert (summary["fixed"], summary["suppressed"]) == (0, 1)
    gone = main("improvements", "main", "latest", "--store", compared[1], "--plain")
    assert "L101" not in gone.out


def test_what_a_configuration_leaves_out_is_said(parts: Path, main: Main) -> None:
    write_tree(parts, {"codebatch.toml": 'exclude = ["*.py", "*.toml"]\n'})
    done = main("check", "--base", "whole", "--scheduler", "sync")
    assert done.code == 0
    assert [line for line in done.err.splitlines() if line.startswith("note: ")] == [
        "note: codebatch.toml holds, for what is compared with as well",
        "note: include and exclude leave out 3 files and folders",
        "note: there is no file to look at",
    ]


# -- baseline files --------------------------------------------------------------------------------


def on(tree: Path, store: Path, *more: object) -> tuple[object, ...]:
    return (tree, "--store", store, "--scheduler", "sync", *more)


def test_a_baseline_file_in_place_of_a_base(tmp_path: Path, main: Main) -> None:
    tree, store, file = tmp_path / "tree", tmp_path / "store", tmp_path / "known.txt"
    write_tree(tree, {**BASE})
    made = main("baseline", "create", *on(tree, store, "--output", file))
    assert made.code == 0
    assert made.out.splitlines()[0] == f"{file}  4 entries: 4 added, 0 removed"
    again = main("baseline", "create", *on(tree, store, "--output", file, "--json"))
    assert json.loads(again.stdout)["error"]["code"] == "BASELINE_INVALID"
    words = on(tree, store, "--baseline", file)
    assert main("check", *words).code == 0
    (tree / "pkg/old.py").unlink()
    write_tree(tree, {"pkg/app.py": HEAD["pkg/app.py"]})
    done = main("check", *words, "--fail-on", "error")
    assert done.code == 0  # a warning is new, and entries are stale
    stale = [line for line in done.out.splitlines() if line.startswith("stale: ")]
    assert [line.split()[2:] for line in stale] == [
        ["L101", "tree/pkg/app.py"],
        *[["L101", "tree/pkg/old.py"]] * 2,
    ]
    assert "1 new finding: 1 warning; 0 fixed, 1 as before, 3 stale entries\n" in done.out
    failed = main("check", *words, "--fail-on", "error", "--fail-on-stale")
    assert failed.code == 1
    assert failed.err.splitlines()[-1] == "exit code 1: --fail-on-stale, 3 stale entries"
    document = json.loads(main("baseline", "prune", *words, "--json").stdout)
    assert (len(document["removed"]), document["added"]) == (3, [])
    document = json.loads(main("baseline", "update", *words, "--json").stdout)
    assert (document["removed"], len(document["added"])) == ([], 1)
    assert main("check", *words, "--fail-on-stale").code == 0


def test_what_is_known_is_not_new_since_a_base(
    compared: tuple[Path, Path], main: Main, tmp_path: Path
) -> None:
    tree, store = compared
    file = tmp_path / "known.txt"
    assert main("baseline", "create", *on(tree, store, "--output", file)).code == 0
    forms = ("--format", "github", "--format", f"sarif:{tmp_path / 'sarif'}")
    done = main(*words(compared, "--baseline", file), *forms)
    assert (done.code, done.out) == (0, "")
    results = json.loads((tmp_path / "sarif").read_text())["runs"][0]["results"]
    assert {result["baselineState"] for result in results} == {"unchanged"}


def test_entries_that_were_not_looked_for_stay(parts: Path, main: Main) -> None:
    lint = ("--task", "lint", "--scheduler", "sync")
    assert main("baseline", "create", ".", *lint).code == 0
    file = parts / "codebatch-baseline.txt"
    before = file.read_text()
    assert sorted(line.split()[2] for line in before.splitlines()[1:]) == ["b.py", "sub/a.py"]
    (parts / "b.py").write_text("")
    (parts / "sub/a.py").write_text("")
    known = ("--baseline", file, "--fail-on-stale")
    for part in (
        (".", "--task", "parse"),
        (".", "--task", "lint", "--ignore", "L101"),
        (".", "--task", "lint", "--exclude", "*.py"),
    ):
        assert main("baseline", "prune", *part, "--scheduler", "sync").code == 0
        assert file.read_text() == before
        assert main("check", *part, *known, "--scheduler", "sync").code == 0
    done = main("check", "sub", *lint, *known)
    assert done.code == 1
    assert "codebatch baseline prune sub --baseline" in done.out
    assert main("baseline", "update", "sub", *lint).code == 0
    assert [line.split()[2] for line in file.read_text().splitlines()[1:]] == ["b.py"]
    assert main("check", "sub", *lint, *known).code == 0
    assert main("baseline", "prune", "b.py", *lint).code == 0
    assert len(file.read_text().splitlines()) == 1


def test_entries_of_a_folder_have_its_path(parts: Path, main: Main) -> None:
    lint = ("--task", "lint", "--scheduler", "sync")
    assert main("baseline", "create", "sub", *lint).code == 0
    known = ("--baseline", "codebatch-baseline.txt")
    assert main("check", "sub", *lint, *known).code == 0
    document = json.loads(main("check", ".", *lint, *known, "--json").stdout)
    assert [row["path"] for row in document["new"]] == ["b.py"]


def test_a_batch_keeps_entries_of_what_it_left_out(parts: Path, main: Main) -> None:
    assert main("baseline", "create", ".", "--batch", "whole").code == 0
    assert main("baseline", "prune", ".", "--batch", "part").code == 0
    lines = (parts / "codebatch-baseline.txt").read_text().splitlines()[1:]
    assert [line.split()[2] for line in lines].count("sub/a.py") == 2


def test_stale_entries_need_a_file_of_them(compared: tuple[Path, Path], main: Main) -> None:
    done = main(*words(compared, "--fail-on-stale"))
    assert done.code == 2
    assert "--baseline" in done.err


def test_a_damaged_baseline_file_is_said_before_anything_is_run(tmp_path: Path, main: Main) -> None:
    tree = write_tree(tmp_path / "tree", {**BASE})
    file = tmp_path / "known.txt"
    file.write_text("# head\nnonsense\n")
    for command in (("check",), ("baseline", "update"), ("baseline", "prune")):
        done = main(*command, *on(tree, tmp_path / "store", "--baseline", file))
        assert done.code == 2
        assert f"{file}, line 2: it is no entry" in done.err
    assert not codebatch.open_store(tmp_path / "store").batches()


# -- revisions of git ------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A branch ``work`` with a commit since ``main``, and more in its work tree."""
    without_own_settings(tmp_path / "home", monkeypatch)
    tree = write_tree(tmp_path / "tree", {**BASE})
    git_init(tree, options=("-b", "main"))
    git(tree, "checkout", "-qb", "work")
    write_tree(tree, {"pkg/more.py": "import abc\n"})
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "more")
    write_tree(tree, {"pkg/more.py": "import abc\nimport ast\n"})
    git(tree, "add", "-A")
    write_tree(tree, {"pkg/more.py": "import abc\nimport ast\nimport cmd\n"})
    monkeypatch.setenv("CODEBATCH_STORE", str(tmp_path / "store"))
    return tree


def new_names(main: Main, *more: object) -> list[str]:
    done = main("check", "--scheduler", "sync", "--json", *more)
    assert done.code == 1, done.err
    return [row["message"].split("`")[1] for row in json.loads(done.stdout)["new"]]


def test_the_base_is_where_the_branch_left(
    repository: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    assert new_names(main) == ["abc", "ast", "cmd"]
    assert new_names(main, "--staged") == ["abc", "ast"]
    assert new_names(main, "--rev", "HEAD") == ["abc"]
    assert new_names(main, "--base", "HEAD") == ["ast", "cmd"]
    assert new_names(main, "pkg", "--base", "work~0") == ["ast", "cmd"]
    done = main("check", "--scheduler", "sync")
    assert done.err.splitlines()[-2].startswith("compared with the merge base with main, commit ")


def test_paths_of_reports_start_at_the_root_of_the_repository(
    repository: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    words = ("check", repository / "pkg", "--base", "HEAD", "--scheduler", "sync", "--format")
    assert main(*words, "github").out.startswith("::warning file=pkg/more.py,line=2,")
    named = ("check", repository / "pkg/more.py", *words[2:])
    assert main(*named, "github").out.startswith("::warning file=pkg/more.py,line=2,")
    commit = git(repository, "rev-parse", "HEAD").decode().strip()
    link = f"(https://github.com/o/r/blob/{commit}/pkg/more.py#L3)"
    assert link in main(*words, "md").out
    assert json.loads(main(*words, "gitlab").out)[0]["location"]["path"] == "pkg/more.py"
    results = json.loads(main(*words, "sarif").out)["runs"][0]["results"]
    places = {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in results}
    assert places == {"pkg/app.py", "pkg/more.py", "pkg/old.py"}


def test_all_of_a_folder_that_the_base_has_not_is_new(repository: Path, main: Main) -> None:
    write_tree(repository, {"other/a.py": "import os\n"})
    assert new_names(main, repository / "other", "--base", "main") == ["os"]
    done = main("check", repository / "other", "--base", "main", "--scheduler", "sync")
    assert "note: the base has no such folder: all is new" in done.err


def test_a_revision_that_is_none_is_said(repository: Path, main: Main) -> None:
    done = main("check", repository, "--base", "nowhere")
    assert done.code == 2
    assert "nowhere" in done.err
    assert "codebatch names" in done.err


@pytest.mark.parametrize("words", [(), ("--base", "HEAD"), ("--staged", "--base", "HEAD")])
def test_before_the_first_commit_all_is_new(
    tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\n"})
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    done = main("check", tree, *words, "--store", tmp_path / "store", "--scheduler", "sync")
    assert done.code == 1
    assert "compared with nothing, as there is no commit yet" in done.err
    assert "1 new finding" in done.out


def test_a_base_of_which_shards_fail_is_no_base(
    repository: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "not here")

    replace_task(monkeypatch, "symbols", function=fail)
    done = main("check", repository, "--base", "HEAD", "--scheduler", "sync")
    assert done.code == 3
    assert re.search(r"nothing can be compared: (\d) of \1 shards of batch-", done.err)
    assert "codebatch resume --batch" in done.err


# -- what a build reads ----------------------------------------------------------------------------


def test_links_of_ones_own(compared: tuple[Path, Path], main: Main) -> None:
    forms = ("--format", "md", "--link-base")
    done = main(*words(compared, *forms, "https://host/o/r/blob/abc/"))
    assert "[line 3](https://host/o/r/blob/abc/pkg/app.py#L3)" in done.out
    for url in ("ftp://host/x", "javascript:alert(1)", "https://host/a b"):
        assert main(*words(compared, *forms, url)).code == 2


@pytest.mark.parametrize("form", ["--plain", "--format=text", "--format=md"])
def test_a_log_of_a_build_takes_nothing_for_a_command(
    tmp_path: Path, main: Main, form: str
) -> None:
    """A line that starts with ``::`` is one to GitHub's runner, and ``##[`` wherever it stands."""
    files: dict[str, str | bytes] = {"::error::x/a.py": "import os\n"}
    files |= {" ::a/##[b].py": "import a as b  # ##[error]x\n"}
    tree, file = write_tree(tmp_path / "tree", files), tmp_path / "known.txt"
    file.write_text("0123456789abcdef L101 ::gone.py\n")
    lines = main("check", *on(tree, tmp_path / "store", "--baseline", file, form)).out.splitlines()
    assert any("::error::x/a.py" in line for line in lines)
    assert any("b].py" in line for line in lines)
    lines += main("errors", "--plain", "--store", tmp_path / "store").out.splitlines()
    assert [line for line in lines if line.lstrip().startswith("::") or "##[" in line] == []


def test_a_clone_without_the_base_is_told_what_to_fetch(
    repository: Path, main: Main, tmp_path: Path
) -> None:
    git(repository, "commit", "-qam", "again")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", str(clone))
    done = main("check", clone, "--base", "HEAD~1", "--scheduler", "sync")
    assert done.code == 2
    assert "shallow" in done.err
    assert "git fetch" in done.err


def test_files_that_cannot_be_written_are_said_first(
    compared: tuple[Path, Path], main: Main, tmp_path: Path
) -> None:
    done = main(*words(compared, "--format", f"sarif:{tmp_path}/none/a.sarif"))
    assert done.code == 2
    assert "cannot write" in done.err
    assert len(codebatch.open_store(compared[1]).batches()) == 1


def test_a_path_that_is_not_there_is_said(compared: tuple[Path, Path], main: Main) -> None:
    done = main("check", compared[0] / "gone.py", "--base", "main", "--store", compared[1])
    assert done.code == 2
    assert "there is no file or directory" in done.err


def test_two_forms_for_stdout_are_said(compared: tuple[Path, Path], main: Main) -> None:
    done = main(*words(compared, "--format", "text", "--format", "sarif"))
    assert done.code == 2
    assert "as sarif:FILE" in done.err
