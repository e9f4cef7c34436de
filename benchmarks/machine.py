"""Two processors for everything that is measured, and the words that name the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

_CORES = 2


def use_two_cores() -> None:
    """Hold this process, and so all that it starts, to two processors where there are more."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])


def describe_machine(scratch: Path) -> dict[str, str]:
    """Processor, cores, versions and the file system below ``scratch``, each as a few words."""
    return {
        "processor": _processor(),
        "cores": f"{len(os.sched_getaffinity(0))} used of {os.cpu_count()}",
        "system": f"{platform.system()} {_kernel()}",
        "file system": _file_system(scratch),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "git": subprocess.check_output(["git", "--version"], text=True).split()[2],
        "ruff": importlib.metadata.version("ruff"),
        "codebatch": importlib.metadata.version("codebatch"),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _kernel() -> str:
    """The version without what a distribution or a host has made of it."""
    found = re.match(r"\d+(\.\d+)?", platform.release())
    return found[0] if found else ""


def _file_system(folder: Path) -> str:
    """The type of the mount that holds the folder: the longest mount point above it."""
    path = f"{folder.resolve()}/"
    mounts = (line.split(" ")[1:3] for line in Path("/proc/mounts").read_text().splitlines())
    above = [
        (len(point), kind) for point, kind in mounts if path.startswith(f"{point.rstrip('/')}/")
    ]
    return max(above)[1]
