"""`deploy/tls.sh` makes certificates with which a cluster knows its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import Outcome, run_cli, write_tree
from deployed import DEPLOY, Started

import codebatch

SCRIPT = DEPLOY / "tls.sh"
FILES = {f"{name}.{kind}" for name in ("ca", "node", "client") for kind in ("pem", "key")}


def make(folder: Path, *arguments: str, **options: str) -> Outcome:
    """Run the script."""
    done = subprocess.run(
        [SCRIPT, folder, *arguments],
        capture_output=True,
        timeout=240,
        check=False,
        env={**os.environ, **options},
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def variables(script: Outcome) -> dict[str, str]:
    """What the script tells a shell to export."""
    assert script.code == 0, script.err
    lines = [shlex.split(line) for line in script.out.splitlines()]
    assert all(len(line) == 2 and line[0] == "export" for line in lines)
    return dict(line[1].split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder of certificates, and the environment for it. Its name needs quoting."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls") / "it's here"
    return folder, variables(make(folder))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".gitignore"}


def test_keys_are_private(certificates: tuple[Path, dict[str, str]]) -> None:
    folder, _ = certificates
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in contents(folder)}
    assert set(modes) == FILES, "nothing is left behind"
    assert (folder / ".gitignore").read_text() == "*\n"
    assert all(mode == (0o600 if name.endswith(".key") else 0o644) for name, mode in modes.items())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("name", "purpose", "good"),
    [
        ("node", "sslserver", True),
        ("node", "sslclient", True),
        ("client", "sslclient", True),
        ("client", "sslserver", False),
    ],
)
def test_certificates_are_good_for_one_thing(
    certificates: tuple[Path, dict[str, str]], name: str, purpose: str, *, good: bool
) -> None:
    """Dask checks no names, so that this alone keeps a client from posing as the scheduler."""
    folder, _ = certificates
    authority = ["-CAfile", folder / "ca.pem", "-x509_strict", "-purpose", purpose]
    command = ["openssl", "verify", *authority, folder / f"{name}.pem"]
    assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) is good


def test_days_are_as_asked(tmp_path: Path) -> None:
    variables(make(tmp_path / "d", "3"))
    for name in ("ca", "node", "client"):
        for days, code in ((2, 0), (4, 1)):
            command = ["openssl", "x509", "-noout", "-checkend", str(days * 86_400), "-in"]
            done = subprocess.run(
                [*command, tmp_path / f"d/{name}.pem"], capture_output=True, check=False
            )
            assert done.returncode == code


def test_what_is_there_is_kept(certificates: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, environment = certificates
    before = contents(folder)
    assert variables(make(folder)) == environment
    assert contents(folder) == before
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "node.pem").unlink()
    assert make(copy).err == f"made {copy}/node.pem\n"
    after = contents(copy)
    assert {name for name in after if after[name] != before[name]} == {"node.pem", "node.key"}


def test_a_client_needs_its_own_files_alone(
    certificates: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, environment = certificates
    for name in ("ca.pem", "client.pem", "client.key"):
        shutil.copy2(folder / name, tmp_path / name)
    found = variables(make(tmp_path))
    assert set(contents(tmp_path)) == {"ca.pem", "client.pem", "client.key"}
    assert {name for name in environment if name not in found} == {
        f"DASK_DISTRIBUTED__COMM__TLS__{role}__{kind}"
        for role in ("SCHEDULER", "WORKER")
        for kind in ("CERT", "KEY")
    }


@pytest.mark.parametrize("arguments", [[], ["--help"], ["a", "1", "b"]])
def test_wrong_arguments(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run([SCRIPT, *arguments], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"usage: ")
    assert not list(tmp_path.iterdir())


def test_a_failure_of_openssl_is_shown(tmp_path: Path) -> None:
    done = make(tmp_path / "d", "many")
    assert (done.code, done.out) == (1, "")
    assert b"many" in done.stderr
    assert not contents(tmp_path / "d")


# -- a cluster -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("default::ResourceWarning")
def test_only_who_has_a_certificate_is_let_in(
    certificates: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """Scheduler and worker with nothing but the environment; clients with and without."""
    _, environment = certificates
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\n"})
    file = tmp_path / "scheduler.json"
    with Started(tmp_path) as started:
        scheduler = "dask scheduler --protocol tls --host 127.0.0.1 --port 0 --no-dashboard"
        started.start([*scheduler.split(), "--scheduler-file", str(file)], **environment)
        started.wait_for(
            lambda: file.exists() and file.read_text().rstrip().endswith("}"), "the scheduler runs"
        )
        address = json.loads(file.read_text())["address"]
        assert address.startswith("tls://")
        worker = ["dask", "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        started.start([*worker, "--local-directory", str(tmp_path)], **environment)

        def scan(to: str, **given: str) -> Outcome:
            where = ("--store", tmp_path / "s", "--scheduler", to)
            return run_cli("scan", tree, *where, env=dict(given))

        done = scan(address, **environment)
        assert done.code == 0, done.err
        batch = codebatch.open_store(tmp_path / "s").find_batch("latest")
        assert len(list(batch.records(kind="diagnostic", code="L101"))) == 1
        write_tree(tree, {"b.py": "import sys\n"})

        strangers = variables(make(tmp_path / "strangers"))
        plain = address.replace("tls://", "tcp://")
        for to, given in ((address, {}), (address, strangers), (plain, {}), (plain, environment)):
            refused = scan(to, **given)
            assert refused.code == 6, (to, given, refused.err)
            assert "scheduler" in refused.err
        assert scan(address, **environment).code == 0
