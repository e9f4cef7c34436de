"""The action, the template and the hook in `deploy/ci/`: their shell steps are run on clones of a
pull request, and what they are is judged by the tools of others.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY, Outcome, cli_environment, run_cli, write_tree
from forge import (
    NEW,
    Clone,
    copy_of_the_package,
    load,
    on_github,
    on_gitlab,
    pull_request,
    run_action,
    run_gitlab,
    script_of,
    shell_steps,
)
from repositories import git

ACTION = REPOSITORY / "deploy/ci/github/action.yml"
TEMPLATE = REPOSITORY / "deploy/ci/gitlab.yml"
HOOKS = REPOSITORY / ".pre-commit-hooks.yaml"
README = REPOSITORY / "README.md"
MANUAL = REPOSITORY / "docs/ci.md"
_ANNOTATION = re.compile(r"^::warning file=([^,]+),line=(\d+),.*title=(L\d+)", re.MULTILINE)


def ran(clone: Clone, **inputs: str) -> Outcome:
    """Run the action with codebatch as it is here, and return what its last step came to."""
    steps = dict(run_action(load(ACTION), clone, requirement="", **inputs))
    return steps["Check"]


def annotated(done: Outcome) -> set[tuple[str, int, str]]:
    return {(path, int(line), code) for path, line, code in _ANNOTATION.findall(done.out)}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return pull_request(tmp_path)


def test_the_action_fails_on_what_is_new_and_tells_it_in_all_forms(clone: Clone) -> None:
    done = ran(on_github(clone))
    assert done.code == 1, done
    assert annotated(done) == NEW
    (run,) = json.loads((clone.temp / "codebatch.sarif").read_text())["runs"]
    new = [one for one in run["results"] if one["baselineState"] == "new"]
    assert {one["ruleId"] for one in new} == {"L101", "L102"}
    summary = (clone.temp / "summary.md").read_text()
    assert f"https://github.com/team/project/blob/{clone.head}/app/new.py#L1" in summary
    assert f"sarif={clone.temp}/codebatch.sarif\n" in (clone.temp / "output").read_text()
    assert git(clone.folder, "status", "--porcelain") == b""


def test_the_memo_that_the_action_keeps_has_all_results(clone: Clone, tmp_path: Path) -> None:
    ran(on_github(clone))
    words = ("--memo", clone.temp / "codebatch-memo", "--require-reused")
    assert run_cli("scan", clone.folder, "--store", tmp_path / "other", *words).code == 0


@pytest.mark.slow
def test_inputs_of_the_action_are_arguments(clone: Clone) -> None:
    on_github(clone)
    assert ran(clone, fail_on="error").code == 0
    assert ran(clone, max_new="2").code == 0
    assert ran(clone, base="HEAD").code == 0
    assert ran(clone, path="app", args="--exclude\nnew.py\n").code == 1
    assert ran(clone, pipeline="parse").code == 0


@pytest.mark.slow
def test_a_push_to_the_default_branch_keeps_what_pull_requests_need(clone: Clone) -> None:
    on_github(clone).variables.update(GITHUB_BASE_REF="", GITHUB_REF="refs/heads/main")
    git(clone.folder, "checkout", "-q", "-B", "main", "refs/remotes/origin/main")
    assert ran(clone).code == 0
    words = ("--memo", clone.temp / "codebatch-memo", "--require-reused")
    assert run_cli("scan", clone.folder, "--store", clone.temp / "other", *words).code == 0


def test_inputs_of_the_action_are_never_code(clone: Clone) -> None:
    hostile = '$(touch owned)`touch owned`"; touch owned; "\'; touch owned; #'
    names = ("path", "base", "pipeline", "fail_on", "max_new", "args")
    assert ran(on_github(clone), **dict.fromkeys(names, hostile)).code == 2
    assert not (clone.folder / "owned").exists()


def test_no_shell_step_has_an_expression_in_it() -> None:
    for step in shell_steps(load(ACTION)):
        assert "${{" not in step["run"], step["name"]


def test_steps_import_nothing_from_the_folder(clone: Clone) -> None:
    names = ("codebatch", "pip", "venv", "json", "sitecustomize", "encodings")
    write_tree(
        clone.folder, {f"{name}.py": "open('/dev/stderr', 'w').write('owned')\n" for name in names}
    )
    (clone.folder / "codebatch.toml").write_text('tasks = ["pip.py:x"]\n')
    done = ran(on_github(clone))
    assert "owned" not in done.err
    assert done.code == 2  # the configuration may not name code
    assert "pip.py:x" in done.err


@pytest.mark.slow
def test_a_shallow_clone_compares_with_the_parent_or_says_what_to_fetch(tmp_path: Path) -> None:
    two = pull_request(tmp_path / "two", {"app/new.py": "import sys\n"}, "--depth=2")
    assert annotated(ran(on_github(two))) == {("app/new.py", 1, "L101")}
    one = pull_request(tmp_path / "one", {"app/new.py": "import sys\n"}, "--depth=1")
    done = ran(on_github(one))
    assert done.code == 2, done
    assert "fetch-depth: 0" in done.err


def test_the_template_fails_on_what_is_new_and_writes_its_reports(clone: Clone) -> None:
    job = load(TEMPLATE)["codebatch"]
    for _ in range(2):  # the second time, with what was kept
        done = run_gitlab(job, on_gitlab(clone), ["script"])
        assert done.code == 1, done
        assert "2 new findings" in done.out
    quality = json.loads((clone.folder / job["artifacts"]["reports"]["codequality"]).read_text())
    found = {(one["location"]["path"], one["check_name"]) for one in quality}
    assert found == {(path, code) for path, _, code in NEW}
    junit = (clone.folder / job["artifacts"]["reports"]["junit"]).read_text()
    assert junit.count("<failure") == 2
    assert (clone.folder / job["cache"]["paths"][0]).is_dir()


def blocks_of(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def workflow_of_readme() -> str:
    (block,) = blocks_of(README)
    return block


def test_the_workflow_of_the_readme_works(clone: Clone) -> None:
    text = workflow_of_readme()
    assert len(text.splitlines()) <= 12
    (job,) = yaml.safe_load(text)["jobs"].values()
    install, check = (step["run"] for step in job["steps"] if "run" in step)
    assert install == "pip install codebatch"
    done = on_github(clone).shell(check, "-e")
    assert (done.code, annotated(done)) == (1, NEW), done
    assert "app/new.py" in (clone.temp / "summary.md").read_text()


@pytest.mark.slow
def test_the_action_installs_what_it_is_told_to(clone: Clone, tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    copy_of_the_package(package, REPOSITORY)
    clone = on_github(clone)
    names = ("pip", "venv", "json", "sitecustomize")
    write_tree(clone.folder, {f"{name}.py": "raise SystemExit('owned')\n" for name in names})
    steps = dict(run_action(load(ACTION), clone, requirement=str(package)))
    assert steps["Install CodeBatch"].code == 0, steps
    assert steps["Check"].code == 1
    assert annotated(steps["Check"]) >= NEW
    assert (clone.temp / "codebatch-bin/codebatch").exists()


def tool(name: str) -> str:
    """Return a program of the extra dev, beside this Python."""
    path = Path(sys.executable).with_name(name)
    found = str(path) if path.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def judged(*command: object, **options: Any) -> None:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.oracle
@pytest.mark.parametrize("persona", ["regular", "pedantic", "auditor"])
def test_zizmor_finds_nothing_in_the_action(persona: str) -> None:
    judged(tool("zizmor"), "--offline", "--persona", persona, ACTION)


@pytest.fixture
def documented(tmp_path: Path) -> dict[str, Path]:
    """The files that README and manual show, by the format of each."""
    workflow, template, hooks = blocks_of(MANUAL)
    texts = {
        ".github/workflows/readme.yml": workflow_of_readme(),
        ".github/workflows/manual.yml": workflow,
        ".gitlab-ci.yml": template,
        ".pre-commit-config.yaml": hooks,
    }
    return {name: write_tree(tmp_path, {name: text}) / name for name, text in texts.items()}


@pytest.mark.oracle
def test_zizmor_finds_nothing_in_what_is_documented(documented: dict[str, Path]) -> None:
    judged(tool("zizmor"), "--offline", *(p for name, p in documented.items() if "github" in name))


@pytest.mark.oracle
def test_the_schemas_of_the_forges_hold(documented: dict[str, Path]) -> None:
    workflows = [path for name, path in documented.items() if "github" in name]
    schemas = {
        "github-actions": [ACTION],
        "github-workflows": workflows,
        "gitlab-ci": [TEMPLATE, documented[".gitlab-ci.yml"]],
    }
    for schema, paths in schemas.items():
        judged(tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *paths)
    judged(tool("pre-commit"), "validate-manifest", HOOKS)
    judged(tool("pre-commit"), "validate-config", documented[".pre-commit-config.yaml"])


@pytest.mark.oracle
def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    job = load(TEMPLATE)["codebatch"]
    lines = "\n".join((*job["before_script"], *job["script"]))
    steps = [*shell_steps(load(ACTION)), {"name": "template", "run": lines}]
    judged(tool("shellcheck"), *(script_of(step, tmp_path) for step in steps))


@pytest.mark.slow
@pytest.mark.oracle
def test_the_hook_looks_at_what_is_committed(tmp_path: Path) -> None:
    package, project = tmp_path / "package", tmp_path / "project"
    package.mkdir()
    commit = copy_of_the_package(package, REPOSITORY)
    config = f"repos:\n- repo: {package}\n  rev: {commit}\n  hooks: [{{id: codebatch-check}}]\n"
    write_tree(project, {".pre-commit-config.yaml": config, "a.py": "x = 1\n", "b.py": "y = 1\n"})
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "first")
    home = {"PRE_COMMIT_HOME": str(tmp_path / "home")}
    environment = cli_environment(**home)
    judged(tool("pre-commit"), "install", "--install-hooks", cwd=project, env=environment)

    def committed(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-m", "next"]
        return subprocess.run(
            [*command, *words],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    (project / "a.py").write_text("import os\n")  # changed, and not staged
    (project / "b.py").write_text("y = 2\n")
    git(project, "add", "b.py")
    assert (done := committed()).returncode == 0, done.stdout + done.stderr
    done = committed("-a")  # git has another index for it
    assert (done.returncode, "a.py" in done.stdout + done.stderr) == (1, True), done
    (project / "a.py").write_text("x = 2\n")
    (project / "b.py").write_text("import sys\n")
    git(project, "add", "b.py")
    assert committed("a.py").returncode == 0  # a.py alone, whatever else is staged
    assert committed().returncode == 1
