"""The endpoint of an address, with the certificates of Dask's configuration, checked.

An invalid configuration is a `NoAnswerError` too: no waiting mends it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.config

from codebatch.cluster.connect.probe import Endpoint, NoAnswerError
from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    import distributed
    from distributed.comm import addressing
else:
    addressing = lazy("distributed.comm.addressing")
    distributed = lazy("distributed")

_VARIABLES = {
    "distributed.comm.tls.ca-file": "DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
    "distributed.comm.tls.client.cert": "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT",
    "distributed.comm.tls.client.key": "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY",
}
_AUTHORITY, _CERTIFICATE, _KEY = _VARIABLES
_LOADER = "distributed.client.security-loader"
_HOW = f"set {', '.join(_VARIABLES.values())}, or the same in Dask's YAML files"


def find_endpoint(address: str) -> Endpoint | None:
    """Return the endpoint to probe; None where only Dask can: for a protocol of its own, or where
    it asks a program for certificates.
    """
    scheme = address.partition("://")[0]
    if scheme not in ("tcp", "tls") or dask.config.get(_LOADER, None):
        return None
    security = _security()
    host, port = _host_and_port(address)
    if scheme == "tcp":
        if security.require_encryption:
            what = "Dask's configuration requires encryption (distributed.comm.require-encryption)"
            raise NoAnswerError(what, "give the address of a scheduler with TLS: tls://…")
        return Endpoint(host, port)
    context = security.get_connection_args("client")["ssl_context"]
    if context is None:
        missing = [name for name in (_AUTHORITY, _CERTIFICATE) if not dask.config.get(name, None)]
        what = f"TLS needs certificates, and Dask's configuration has no {' and no '.join(missing)}"
        raise NoAnswerError(what, _HOW)
    return Endpoint(host, port, context, _shown(_AUTHORITY), _shown(_CERTIFICATE))


def _security() -> Any:
    """Return Dask's configuration of encryption, checked."""
    try:
        security = distributed.Security()  # type: ignore[no-untyped-call]
        security.get_connection_args("client")  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        found = {name: dask.config.get(name, None) for name in _VARIABLES}
        missing = [f"{path} ({name})" for name, path in found.items() if _is_missing(path)]
        why = f"there is no file {missing[0]}" if missing else str(error)
        what = f"the certificates of Dask's configuration cannot be used: {why}"
        raise NoAnswerError(what, _HOW) from error
    return security


def _is_missing(path: object) -> bool:
    return isinstance(path, str) and "\n" not in path and not Path(path).is_file()


def _shown(name: str) -> str:
    """Return a configured file as a message names it; the value may be the certificate itself."""
    value = str(dask.config.get(name, None) or "")
    return "of Dask's configuration" if "\n" in value else value


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        host, port = addressing.get_address_host_port(address)
    except ValueError as error:
        raise NoAnswerError(str(error), "an address is tcp://host:port") from error
    return str(host), int(port)
