"""Run a command beside a Dask cluster of SLURM jobs, which lives as long as the command.

    python cluster.py --jobs 16 -- codebatch scan /project --store /shared/store

The command finds the scheduler in DASK_SCHEDULER_ADDRESS, as codebatch does without --scheduler.
There are as many jobs as there is work, up to --jobs; they are what jobqueue.yaml says. Where Dask
is told to require encryption (deploy/tls.sh), scheduler, workers and command use TLS. The exit code
is that of the command; SIGINT and SIGTERM reach it as SIGINT, so that it finishes what it is at.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import dask.config
from dask_jobqueue import SLURMCluster
from distributed import Security


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options, and the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=4, help="at most so many jobs (default: 4)")
    parser.add_argument("--minimum-jobs", type=int, default=1, help="at least so many (default: 1)")
    parser.add_argument("--script", action="store_true", help="print the script of a job, and end")
    parser.add_argument("command", nargs="*", help="what to run, after --")
    options = parser.parse_args(arguments)
    if not options.command and not options.script:
        parser.error("which command?")
    return options


def start_cluster() -> SLURMCluster:
    """A scheduler in this process, and no worker yet."""
    encrypted = dask.config.get("distributed.comm.require-encryption")
    return SLURMCluster(
        # Given here, it is also known to the code that counts workers.
        processes=dask.config.get("jobqueue.slurm.processes") or 1,
        security=Security() if encrypted else None,
    )


def run(command: Sequence[str], address: str) -> int:
    """The exit code of the command, which is interrupted when this process is."""
    environment = {**os.environ, "DASK_SCHEDULER_ADDRESS": address}
    # A process group of its own, so that Ctrl-C comes once, from here.
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: process.send_signal(signal.SIGINT))
        code = process.wait()
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str]) -> int:
    """Start, run, and end the jobs."""
    options = parse(arguments)
    with start_cluster() as cluster:
        if options.script:
            print(cluster.job_script())
            return 0
        cluster.adapt(
            minimum_jobs=options.minimum_jobs,
            maximum_jobs=options.jobs,
            interval="5s",
            wait_count=12,  # a minute without work, before a job is given back
        )
        return run(options.command, cluster.scheduler_address)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
