"""Connecting to a scheduler: what can go wrong is one line, soon, and nothing else is printed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from clusters import Cluster, Tls, free_port, make_certificates
from conftest import Outcome, Scanned, cli_environment

import codebatch
from codebatch.batch import scheduler as schedulers
from codebatch.cluster.cluster import connected
from codebatch.cluster.connect import configuration
from codebatch.cluster.connect.connection import connect
from codebatch.cluster.settings import ClusterSettings
from codebatch.model.errors import ClusterError, SchedulerInvalidError, UsageError

Cli = Callable[..., Outcome]

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl to make certificates with"
)


@pytest.fixture(autouse=True)
def no_patience() -> Iterator[None]:
    """Time limits shorter than a user's, and long enough for a busy machine to answer within."""
    with dask.config.set({"distributed.comm.timeouts.connect": "3s"}):
        yield


@contextlib.contextmanager
def in_process(**options: Any) -> Iterator[str]:
    """The address of a scheduler without workers, in this process."""
    quiet = {
        "n_workers": 0,
        "processes": False,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": False,
    }
    with distributed.LocalCluster(host="127.0.0.1", **quiet, **options) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with in_process(protocol="tcp") as address:
        yield address


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Certificates of another authority."""
    return make_certificates(tmp_path_factory.mktemp("strangers"))


@pytest.fixture(scope="module")
def secure(certificates: Tls) -> Iterator[str]:
    """The address of a scheduler that talks to nobody without a certificate."""
    security = distributed.Security(
        tls_ca_file=str(certificates.ca),
        **{
            f"tls_{role}_{kind}": str(path)
            for role in ("scheduler", "client", "worker")
            for kind, path in (("cert", certificates.certificate), ("key", certificates.key))
        },
    )
    with in_process(protocol="tls", security=security) as address:
        yield address


@contextlib.contextmanager
def service(serve: Callable[[socket.socket], object], port: int = 0) -> Iterator[str]:
    """The address of something else that listens; ``serve`` is called with each connection."""
    open_connections = []
    with socket.create_server(("127.0.0.1", port)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    open_connections.append(connection)
                    serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for connection in open_connections:
        connection.close()


def answer_requests(connection: socket.socket) -> None:
    """A web server: silent until it is asked."""

    def answer() -> None:
        with contextlib.suppress(OSError):
            while request := connection.recv(4096):
                if request.startswith(b"GET "):
                    connection.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")

    threading.Thread(target=answer, daemon=True).start()


def failure(address: str) -> tuple[str, str]:
    """The message after the address, and the hints, of a connection that fails in time."""
    began = time.monotonic()
    with pytest.raises(ClusterError) as caught, connect(address):
        pass
    assert time.monotonic() - began < configuration.CONNECT_SECONDS
    error = caught.value
    start = f"cannot reach a Dask scheduler at {address}: "
    assert (error.code, error.exit_code) == ("CLUSTER_UNREACHABLE", 6)
    assert error.message.startswith(start), error.message
    assert "\n" not in error.message
    return error.message.removeprefix(start), " ".join(error.hints)


def configured(tls: Tls, **changes: Any) -> Any:
    """Dask's configuration for a client with these certificates."""
    files = {"ca-file": tls.ca, "client.cert": tls.certificate, "client.key": tls.key, **changes}
    return dask.config.set({f"distributed.comm.tls.{n}": str(p) for n, p in files.items() if p})


BANNER = b"SSH-2.0-OpenSSH_9\r\n"

# -- tcp -----------------------------------------------------------------------------------------


def test_connects_by_address_and_by_file(scheduler: str, tmp_path: Path) -> None:
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps({"type": "Scheduler", "address": scheduler}))
    for where in (scheduler, str(path)):
        with connect(where) as client:
            assert client.scheduler.address == scheduler
            assert distributed.client._get_global_client() is not client
        assert client.status == "closed"


def test_nobody_listens() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    began = time.monotonic()
    assert failure(address)[0] == "Connection refused"
    assert 2.9 < time.monotonic() - began < configuration.CONNECT_SECONDS
    _, hint = failure("tcp://no.invalid:8786")
    assert "is it running" in hint


def forward(near: socket.socket, scheduler: str) -> None:
    """Have threads copy what comes to a scheduler, and what it says."""
    far = socket.create_connection(("127.0.0.1", int(scheduler.rpartition(":")[2])))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with source, sink, contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    for one, other in ((near, far), (far, near)):
        threading.Thread(target=pump, args=(one, other), daemon=True).start()


@contextlib.contextmanager
def forwarded_later(
    scheduler: str, seconds: float = 0
) -> Iterator[tuple[str, list[str], Callable[[str], None]]]:
    """The address of a port that is forwarded to a scheduler so long after somebody was told that
    it is waited for; what was told; and what is to be told.
    """
    notices: list[str] = []
    port = free_port()
    with contextlib.ExitStack() as forwarding:

        def tell(notice: str) -> None:
            notices.append(notice)
            if len(notices) == 1:
                time.sleep(seconds)
                serve = partial(forward, scheduler=scheduler)
                forwarding.enter_context(service(serve, port))

        yield f"tcp://127.0.0.1:{port}", notices, tell


def test_a_scheduler_that_starts_late_is_waited_for(scheduler: str) -> None:
    """Who waits is told."""
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "60s"}),
        forwarded_later(scheduler) as (address, notices, tell),
        connect(address, tell) as client,
    ):
        assert client.scheduler_info()["type"] == "Scheduler"
    assert notices == [f"waiting for a Dask scheduler at {address}: Connection refused"]


@pytest.mark.slow
def test_the_time_limit_for_a_cluster_holds_from_the_start(scheduler: str) -> None:
    """Beyond that of a connection, and below it: who does not want to wait does not."""
    with (
        forwarded_later(scheduler, configuration.connect_seconds()) as (address, notices, tell),
        connected(address, ClusterSettings(timeout=60, on_notice=tell)) as cluster,
    ):
        assert cluster.client.scheduler_info()["type"] == "Scheduler"
    assert notices == [f"waiting for a Dask scheduler at {address}: Connection refused"]
    address = f"tcp://127.0.0.1:{free_port()}"
    began = time.monotonic()
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "60s"}),
        pytest.raises(ClusterError, match="Connection refused"),
        connected(address, ClusterSettings(timeout=0)),
    ):
        pass
    assert time.monotonic() - began < 30


def test_a_scheduler_that_starts_elsewhere_is_found_by_its_file(
    scheduler: str, tmp_path: Path
) -> None:
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps({"address": f"tcp://127.0.0.1:{free_port()}"}))
    new = tmp_path / "new.json"
    new.write_text(json.dumps({"address": scheduler}))
    late = threading.Timer(1.5, new.replace, [path])
    late.start()
    with connected(str(path), ClusterSettings(timeout=60)) as cluster:
        assert cluster.client.scheduler.address == scheduler
    late.join()


@pytest.mark.slow
def test_something_else_listens() -> None:
    for serve, words in (
        (answer_requests, "does not answer within 3 s"),
        (lambda connection: connection.sendall(BANNER), "not a Dask scheduler"),
        (lambda connection: connection.close(), ""),  # in the words of the system
        (lambda _: None, "does not answer within 3 s"),
    ):
        with service(serve) as address:
            message, hint = failure(address)
        assert words in message
        assert "is this its port? dask scheduler prints it, by default 8786" in hint


@pytest.mark.slow
def test_a_scheduler_that_greets_late_is_waited_for(scheduler: str) -> None:
    def serve(connection: socket.socket) -> None:
        time.sleep(1)
        forward(connection, scheduler)

    with service(serve) as address, connect(address) as client:
        assert client.scheduler_info()["type"] == "Scheduler"


def test_a_worker_listens(scheduler: str) -> None:
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        (worker,) = cluster.workers.values()
        message, _ = failure(worker.address)
    assert message == "it is a worker that listens there"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"address": "tcp://127', "it is not a JSON document"),
        ("", "it is not a JSON document"),
        ("{}", "it names no address"),
        ('{"address": 3}', "it names no address"),
        ("[]", "it names no address"),
    ],
)
def test_no_scheduler_file(
    content: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codebatch.cluster.connect.connection._FILE_SECONDS", 0.1)
    path = tmp_path / "scheduler.json"
    path.write_text(content)
    with pytest.raises(ClusterError) as caught, connect(str(path)):
        pass
    assert caught.value.message == f"{path} is no scheduler file: {why}"


def test_a_scheduler_file_that_is_being_written(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codebatch.cluster.connect.connection._FILE_SECONDS", 60)
    path = tmp_path / "scheduler.json"
    path.write_text('{"address": ')
    late = threading.Timer(0.3, path.write_text, [json.dumps({"address": scheduler})])
    late.start()
    with connect(str(path)) as client:
        assert client.scheduler.address == scheduler
    late.join()


@pytest.mark.slow
def test_a_scheduler_file_that_is_not_there_yet(scheduler: str, tmp_path: Path) -> None:
    path = tmp_path / "scheduler.json"
    message, hint = failure(str(path))
    assert message == "No such file or directory"
    assert "dask scheduler --scheduler-file" in hint
    notices: list[str] = []

    def tell(notice: str) -> None:
        notices.append(notice)
        path.write_text(json.dumps({"address": scheduler}))

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "60s"}),
        connect(str(path), tell) as client,
    ):
        assert client.scheduler.address == scheduler
    assert notices == [f"waiting for a Dask scheduler at {path}: No such file or directory"]


@pytest.mark.slow
def test_a_frozen_scheduler_is_named_and_left(tmp_path: Path) -> None:
    """Neither connecting to one nor leaving one hangs."""
    with Cluster(tmp_path / "cluster") as cluster:
        with connect(cluster.address):
            cluster.scheduler.freeze()
            began = time.monotonic()
        message, _ = failure(cluster.address)
        assert time.monotonic() - began < 60
        assert "does not answer" in message
        os.kill(cluster.scheduler.pid, signal.SIGCONT)


# -- TLS -----------------------------------------------------------------------------------------


@needs_openssl
def test_certificates_come_from_the_configuration_of_dask(secure: str, certificates: Tls) -> None:
    with configured(certificates), connect(secure) as client:
        assert client.scheduler_info()["type"] == "Scheduler"


@needs_openssl
def test_certificates_that_do_not_fit(
    secure: str, certificates: Tls, strangers: Tls, tmp_path: Path
) -> None:
    """The hint names what to check: the files are those of Dask's configuration."""
    for tls, changes in (
        (strangers, {}),
        (strangers, {"ca-file": certificates.ca}),
        (certificates, {"client.key": strangers.key}),
        (certificates, {"client.cert": tmp_path / "none.pem"}),
        (certificates, {"client.cert": None, "client.key": None}),
        (certificates, {"ca-file": None, "client.cert": None, "client.key": None}),
    ):
        with configured(tls, **changes):
            message, hint = failure(secure)
        assert message
        for name in ("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", "__CLIENT__CERT", "__CLIENT__KEY"):
            assert name in hint


@pytest.mark.slow
@needs_openssl
def test_tls_where_there_is_none_and_none_where_there_is(
    scheduler: str, secure: str, certificates: Tls
) -> None:
    plain = secure.replace("tls:", "tcp:")
    with configured(certificates), service(answer_requests) as server:
        for address in (plain, *(one.replace("tcp:", "tls:") for one in (scheduler, server))):
            _, hint = failure(address)
            assert "tls://… is for a scheduler with TLS, and tcp://… for one without" in hint


def test_encryption_may_be_required(scheduler: str) -> None:
    with dask.config.set({"distributed.comm.require-encryption": True}):
        message, hint = failure(scheduler)
    assert "encryption required by Dask configuration" in message
    assert "tls://" in hint


# -- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True])
def test_command_line_says_it_in_one_line(
    as_json: bool, scanned: Scanned, tmp_path: Path, cli: Cli
) -> None:
    where = f"tcp://127.0.0.1:{free_port()}"
    words = ["scan", scanned.tree, "--store", tmp_path / "s", "--scheduler", where]
    limit = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    done = cli(*words, *["--json"] * as_json, env=limit)
    assert done.code == 6
    said = f"cannot reach a Dask scheduler at {where}: Connection refused"
    if as_json:
        error = json.loads(done.stdout)["error"]
        assert (error["code"], error["message"]) == ("CLUSTER_UNREACHABLE", said)
    else:
        lines = [line for line in done.err.splitlines() if not line.startswith("made a store")]
        assert lines[0] == f"error: {said}"
        assert all(line.startswith("  ") for line in lines[1:])


# -- which one -----------------------------------------------------------------------------------


def printed(code: str, **environment: str | None) -> str:
    """What a process of its own prints: Dask's configuration is read once in each."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=cli_environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


CHOICE = """
import sys
from codebatch.batch.scheduler import choose_scheduler
print(choose_scheduler(None, 1, 0).name, "dask" in sys.modules)
"""


@pytest.mark.slow
def test_order_of_what_names_a_scheduler(tmp_path: Path) -> None:
    """Dask is loaded only where one of its files speaks of a scheduler."""
    yaml = tmp_path / "one.yaml"
    for text, expected in (
        ("# scheduler-address: tcp://yaml:1\nx: 1\n", "sync False"),
        ("scheduler-address: tcp://yaml:1\n", "tcp://yaml:1 True"),
        ("{scheduler_address: tcp://yaml:1}\n", "tcp://yaml:1 True"),
    ):
        yaml.write_text(text)
        assert printed(CHOICE, DASK_CONFIG=str(tmp_path)) == expected
    assert printed(CHOICE, DASK_CONFIG=str(yaml)) == expected
    both = {"DASK_CONFIG": str(tmp_path), "DASK_SCHEDULER_ADDRESS": "tcp://dask:2"}
    assert printed(CHOICE, **both) == "tcp://dask:2 False"
    all_three = {**both, "CODEBATCH_SCHEDULER": "tcp://ours:3"}
    assert printed(CHOICE, **all_three) == "tcp://ours:3 False"


def test_no_viewing_command_reads_the_configuration_of_dask(
    scanned: Scanned, tmp_path: Path, cli: Cli
) -> None:
    (tmp_path / "broken.yaml").write_text("scheduler-address: [")
    environment = {"DASK_CONFIG": str(tmp_path)}
    assert cli("--help", env=environment).code == 0
    assert cli("status", "--store", scanned.path, env=environment).code == 0
    done = cli("scan", scanned.tree, "--store", tmp_path / "s", env=environment)
    assert done.code == 2
    assert f"a dask config file at '{tmp_path}/broken.yaml' is malformed" in done.err.lower()
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "name",
    [
        *("tcp://host", "tcp://host:0", "tcp://host:65536", "tcp://:1", "tcp://host:1/x", "hi"),
        *("no folder/scheduler.json", "scheduler.yaml", "folder.json", "long" * 99),
    ],
)
def test_what_is_no_address(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.json").mkdir()
    with pytest.raises(SchedulerInvalidError):
        schedulers.choose_scheduler(name, None, 0)
    with pytest.raises(SchedulerInvalidError):
        schedulers.check_address(name)


@pytest.mark.parametrize(
    "name",
    [
        *("tcp://host:8786", "tls://[::1]:1", "ws://host:1", "inproc://x"),
        *("a file", "late.json", "./late.json"),
    ],
)
def test_what_is_an_address(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a file").touch()
    assert schedulers.choose_scheduler(name, None, 0).name == name


def test_defaults_are_a_section_of_the_configuration_of_dask() -> None:
    asked = ClusterSettings()
    assert configuration.completed(asked).transport == "auto"
    assert configuration.completed(asked).timeout is None
    with dask.config.set({"codebatch.transport": "shipped", "codebatch.cluster-timeout": "2m"}):
        found = configuration.completed(asked)
        assert (found.transport, found.timeout) == ("shipped", 120)
        kept = configuration.completed(ClusterSettings("shared", 0))
        assert (kept.transport, kept.timeout) == ("shared", 0)
    for name, value in (("transport", "pigeons"), ("cluster-timeout", "soon")):
        with dask.config.set({f"codebatch.{name}": value}), pytest.raises(UsageError, match=value):
            configuration.completed(asked)


def test_time_limit_follows_dask_where_it_is_set() -> None:
    """Dask's own default is not a choice of anybody's."""
    assert configuration.connect_seconds() == 3
    with dask.config.set({"distributed.comm.timeouts.connect": "30s"}):
        assert configuration.connect_seconds() == configuration.CONNECT_SECONDS
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "long"}),
        pytest.raises(UsageError, match="long"),
    ):
        configuration.connect_seconds()
    code = "from codebatch.cluster.connect.configuration import connect_seconds as c; print(c())"
    limit = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "30s"}
    assert printed(code, **limit) == "30.0"


# -- the client at hand --------------------------------------------------------------------------


def test_current_client_runs_what_names_no_scheduler(
    scanned: Scanned, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CODEBATCH_SCHEDULER", raising=False)
    batch = store.batch(store.snapshot(scanned.tree), "full")
    with (
        distributed.LocalCluster(
            n_workers=1, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert schedulers.current_client(None) is client
        assert not schedulers.needs_processes(None, None, 2**40)
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "nonsense")  # comes after it
        assert schedulers.current_client("auto") is None
        monkeypatch.setenv("CODEBATCH_SCHEDULER", "sync")
        assert schedulers.current_client(None) is None
        monkeypatch.delenv("CODEBATCH_SCHEDULER")
        report = batch.run()
        assert (report.status, report.result) == ("done", scanned.report.result)
        assert report.cluster is not None
        assert client.status == "running"
    assert schedulers.current_client(None) is None


def test_a_client_that_cannot_be_used(scheduler: str, store: codebatch.Store, tree: Path) -> None:
    batch = store.batch(store.snapshot(tree), "parse")
    with distributed.Client(scheduler, set_as_default=False) as client:
        pass
    with pytest.raises(UsageError, match="the client is closed"):
        batch.run(client=client)


@pytest.mark.slow
def test_a_scheduler_that_ends_while_workers_are_waited_for(
    store: codebatch.Store, tree: Path
) -> None:
    batch = store.batch(store.snapshot(tree), "parse")
    with contextlib.ExitStack() as running:
        address = running.enter_context(in_process(protocol="tcp"))

        def end(notice: str) -> None:
            assert notice == "waiting for workers: the cluster has none"
            running.close()

        with pytest.raises(ClusterError) as caught:
            batch.run(address, on_notice=end)
    assert caught.value.message == "the connection to the scheduler is lost"
    assert caught.value.exit_code == 6
