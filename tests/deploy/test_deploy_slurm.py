"""`deploy/slurm/` gives dask-jobqueue what it knows, and works with a stand-in for SLURM."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import cli_environment, make_tree
from dask.utils import parse_timedelta
from deployed import DEPLOY, check_command, commands_in, load_yaml, option, options_of

import codebatch
from codebatch.model.limits import parse_size

SLURM = DEPLOY / "slurm"
SETTINGS: dict[str, Any] = load_yaml("slurm/jobqueue.yaml")[0]["jobqueue"]["slurm"]
SCAN = (SLURM / "scan.sbatch").read_text(encoding="utf-8")

SBATCH = """#!/bin/sh
cp "$1" "$1.copy"
setsid sh -c 'bash "$0"; rm "$0"' "$1.copy" >"$STANDIN/job.$$" 2>&1 </dev/null &
echo $! >>"$STANDIN/submitted"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
echo "$1" >>"$STANDIN/cancelled"
kill -TERM -- "-$1"
"""


def jobqueue() -> Path:
    """The folder of dask-jobqueue. It is not imported here: it would write into the home folder."""
    spec = importlib.util.find_spec("dask_jobqueue")
    if spec is None or spec.origin is None:
        pytest.skip("the package dask-jobqueue is not installed")
    return Path(spec.origin).parent


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of `deploy/`, where jobs are small processes of this machine, on loopback."""
    jobqueue()
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    file = tmp_path / "deploy/slurm/jobqueue.yaml"
    document = yaml.safe_load(file.read_text())
    document["jobqueue"]["slurm"] |= {"cores": 2, "processes": 2, "memory": "2GiB"}
    document["jobqueue"]["slurm"] |= {"interface": "lo", "local-directory": str(tmp_path)}
    file.write_text(yaml.safe_dump(document))
    (tmp_path / "bin").mkdir()
    python = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n'
    program = python.replace('"$@"', '-m codebatch "$@"')
    for name, text in (
        *(("sbatch", SBATCH), ("scancel", SCANCEL)),
        *(("python3", python), ("codebatch", program)),
    ):
        path = tmp_path / "bin" / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def environment(site: Path, **changes: str) -> dict[str, str]:
    """Where the stand-in is found first."""
    return cli_environment(
        STANDIN=str(site),
        PATH=f"{site / 'bin'}:{os.environ['PATH']}",
        DASK_CONFIG=str(site / "deploy/slurm"),
        **changes,
    )


def run(site: Path, *command: object, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        cwd=site,
        env=environment(site, **changes),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


# -- settings ------------------------------------------------------------------------------------


def test_settings_are_some_that_there_are() -> None:
    """What it does not know dask-jobqueue passes over without a word."""
    known = yaml.safe_load((jobqueue() / "jobqueue.yaml").read_text())["jobqueue"]["slurm"]
    assert set(SETTINGS) < set(known)
    text = (SLURM / "jobqueue.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"^    # (\w+): ", text, re.MULTILINE)) < set(known)


def test_workers_have_one_thread_and_memory_for_what_they_start() -> None:
    assert SETTINGS["cores"] == SETTINGS["processes"]
    (limit,) = re.findall(r"CODEBATCH_MEMORY_LIMIT:-(\w+)\}", SCAN)
    child, job = parse_size(limit), parse_size(SETTINGS["memory"])
    assert child is not None
    assert job is not None
    assert child + 2**29 <= job / SETTINGS["processes"]


def test_workers_leave_before_their_job_is_ended() -> None:
    words = SETTINGS["worker-extra-args"]
    lifetime, stagger = (
        parse_timedelta(option(words, name)) for name in ("--lifetime", "--lifetime-stagger")
    )
    hours, minutes, seconds = map(int, SETTINGS["walltime"].split(":"))
    assert lifetime + stagger < hours * 3600 + minutes * 60 + seconds


def test_the_job_that_scans() -> None:
    directives = dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)$", SCAN, re.MULTILINE))
    assert len(directives) == SCAN.count("\n#SBATCH ")
    assert directives["signal"].startswith("B:"), "to the program alone, which passes it on"
    assert "cluster.py" in SCAN
    (command,) = [words for words in commands_in(SCAN) if words[0] == "codebatch"]
    check_command(command)


# -- jobs ----------------------------------------------------------------------------------------


def test_the_script_of_a_job(site: Path) -> None:
    done = run(site, sys.executable, site / "deploy/slurm/cluster.py", "--script")
    assert done.returncode == 0, done.stderr
    header = dict(re.findall(r"^#SBATCH (--?[\w-]+)[ =](.*)$", done.stdout, re.MULTILINE))
    assert header["--cpus-per-task"] == "2"
    assert header["--mem"] == "2G"
    assert header["-t"] == SETTINGS["walltime"]
    words = shlex.split(done.stdout.strip().splitlines()[-1])
    assert words[:3] == [sys.executable, "-m", "distributed.cli.dask_worker"]
    given = {word for word in words[3:] if word.startswith("--")}
    assert given <= options_of("dask", "worker")
    assert option(words, "--nworkers") == "2"
    assert option(words, "--nthreads") == "1"
    assert not (site / "submitted").exists()


def test_a_command_is_needed(site: Path) -> None:
    done = run(site, sys.executable, site / "deploy/slurm/cluster.py", "--jobs", "2")
    assert done.returncode == 2
    assert "which command?" in done.stderr
    assert run(site, "bash", site / "deploy/slurm/scan.sbatch", "tree").returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_interrupts_the_command(site: Path, name: str) -> None:
    """SLURM's, when the time is up, and the keyboard's. The command ends as it wants to."""
    program = (
        "import os, sys, time\ntry:\n    print(os.environ['DASK_SCHEDULER_ADDRESS'], flush=True)\n"
        "    time.sleep(600)\nexcept KeyboardInterrupt:\n    sys.exit(130)\n"
    )
    cluster = [sys.executable, str(site / "deploy/slurm/cluster.py"), "--minimum-jobs", "0", "--"]
    with subprocess.Popen(
        [*cluster, sys.executable, "-c", program],
        cwd=site,
        env=environment(site),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("tcp://127.0.0.1:")
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=240)
    assert (process.returncode, out) == (130, ""), err


@pytest.mark.slow
def test_a_scan(site: Path) -> None:
    """Workers come as jobs and go with the command, and talk over TLS."""
    tree = make_tree(site / "tree")
    scan = ("bash", site / "deploy/slurm/scan.sbatch", tree, site / "store")
    done = run(site, *scan, CODEBATCH_TLS=str(site / "tls"))
    jobs = "\n".join(path.read_text() for path in site.glob("job.*"))
    assert done.returncode == 0, done.stderr + jobs
    alone, report = codebatch.scan(tree, site / "other", scheduler="sync")
    (row,) = codebatch.open_store(site / "store").batches()
    assert (row["batch_id"], row["result"]) == (alone.id, report.result)
    submitted = (site / "submitted").read_text().split()
    assert submitted
    assert set((site / "cancelled").read_text().split()) == set(submitted)
    assert "tls://127.0.0.1" in jobs
    assert "tcp://" not in jobs
    # Its options and its exit code are those of the command.
    assert run(site, *scan, "--require-reused").returncode == 0
    assert run(site, *scan, "--no-such-option").returncode == 2
