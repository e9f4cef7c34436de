"""Find out, within a time limit, if a Dask scheduler answers at an address; if not, why not.

`distributed` waits without a limit for the greeting of whoever listens, and tells the troubles
of a connection in the words of sockets. So before a client is made, the address is tried here, by
nothing but sockets: whoever accepts a connection in Dask's protocol greets first, and the greeting
is known by its words. Nothing is said to a scheduler that answers.

`probe` raises `NoAnswerError`, which says whether waiting may help.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass

_GREETING = b"pickle-protocol"  # a key of the greeting of every version
_GREETING_BYTES = 4096
_QUIET_SECONDS = 2.0  # from when on it is asked what else it may be
_TEST_SECONDS = 1.0
_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE", "PACKET_LENGTH"}
_BUSY = "is it stopped or very busy? is the port that of the scheduler?"
_OTHER = "is the port that of the scheduler? dask scheduler prints it; by default it is 8786"


class NoAnswerError(Exception):
    """No Dask scheduler answers that accepts this client; ``may_pass`` if one may in a while."""

    def __init__(self, message: str, hint: str, *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.may_pass = may_pass


@dataclass(frozen=True)
class Endpoint:
    """Host and port of a scheduler. For TLS, ``context`` holds the certificates of this client,
    whose names are given for messages.
    """

    host: str
    port: int
    context: ssl.SSLContext | None = None
    authority: str = ""
    certificate: str = ""

    def open(self, seconds: float) -> socket.socket:
        """Return a connection, without TLS."""
        return socket.create_connection((self.host, self.port), timeout=max(seconds, 0.01))


def probe(endpoint: Endpoint, seconds: float) -> None:
    """Return if a Dask scheduler greets within so many seconds, else raise `NoAnswerError`."""
    patience = min(seconds, _QUIET_SECONDS)
    try:
        return _await_greeting(endpoint, patience)
    except TimeoutError:
        _exclude_others(endpoint)
    try:
        return _await_greeting(endpoint, seconds - patience)
    except TimeoutError:
        what = f"something listens there, but does not answer within {seconds:g} s"
        raise NoAnswerError(what, _BUSY) from None


def _await_greeting(endpoint: Endpoint, seconds: float) -> None:
    """Return if a scheduler greets; TimeoutError where the connection is accepted and nothing
    comes.
    """
    deadline = time.monotonic() + seconds
    connection = _connected(endpoint, seconds)
    try:
        if endpoint.context is not None:
            connection = endpoint.context.wrap_socket(connection)
        greeting = _first_words(connection, deadline)
    except TimeoutError:
        raise
    except ssl.SSLError as error:
        raise _refused(endpoint, error) from error
    except OSError as error:
        raise _cut(error) from error
    finally:
        connection.close()
    if not greeting:
        raise _cut()
    if _GREETING not in greeting:
        raise NoAnswerError("what answers there is not a Dask scheduler", _OTHER)


def _connected(endpoint: Endpoint, seconds: float) -> socket.socket:
    """Return a connection, without TLS yet."""
    try:
        return endpoint.open(seconds)
    except socket.gaierror as error:
        what = f"the name {endpoint.host} does not resolve: {error.strerror}"
        raise NoAnswerError(what, "is the name right?", may_pass=True) from error
    except OSError as error:
        hint = "is it running (dask scheduler), and is the address right?"
        raise NoAnswerError(_words(error), hint, may_pass=True) from error


def _first_words(connection: socket.socket, deadline: float) -> bytes:
    """Return the first bytes, none if the connection is closed; TimeoutError if none in time."""
    said = b""
    while _GREETING not in said and len(said) < _GREETING_BYTES:
        connection.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            portion = connection.recv(_GREETING_BYTES)
        except TimeoutError:
            if said:
                return said
            raise
        if not portion:
            return said
        said += portion
    return said


def _exclude_others(endpoint: Endpoint) -> None:
    """Raise `NoAnswerError` if what is silent turns out to be something else: a scheduler that
    wants TLS, or a service that waits to be asked.
    """
    if endpoint.context is None and _speaks_tls(endpoint):
        what = "what listens there speaks TLS"
        raise NoAnswerError(what, "give its address as tls://…, and certificates to Dask")
    answer = _answer_to_a_browser(endpoint)
    if _GREETING in answer:  # a scheduler after all, which took its time
        return
    if answer.startswith(b"HTTP/"):
        raise NoAnswerError("a web server answers there, Dask's dashboard perhaps", _OTHER)
    if answer:
        raise NoAnswerError("what answers there is not a Dask scheduler", _OTHER)


def _speaks_tls(endpoint: Endpoint) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
    try:
        with endpoint.open(_TEST_SECONDS) as plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False


def _answer_to_a_browser(endpoint: Endpoint) -> bytes:
    try:
        with endpoint.open(_TEST_SECONDS) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return _first_words(connection, time.monotonic() + _TEST_SECONDS)
    except OSError:
        return b""


def _refused(endpoint: Endpoint, error: ssl.SSLError) -> NoAnswerError:
    """Return what a failure of TLS means."""
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"its certificate is not one of the authority {endpoint.authority}"
        return NoAnswerError(
            f"{what}: {error.verify_message}",
            "give Dask that of the cluster: DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
        )
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _cut()
    if "ALERT" in reason:
        said = reason.partition("ALERT_")[2].replace("_", " ").lower()
        return NoAnswerError(
            f"it refuses the certificate {endpoint.certificate}: {said}",
            "give Dask one of the cluster's authority: DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT",
        )
    if reason in _NO_TLS:
        what = "what listens there does not speak TLS"
        return NoAnswerError(what, "is it a scheduler without TLS? its address is tcp://… then")
    return NoAnswerError(
        f"TLS fails: {_words(error)}", "do both sides take the same version of TLS?"
    )


def _cut(error: OSError | None = None) -> NoAnswerError:
    """Return the error where a forwarder of ports, say, accepts and then closes the connection."""
    what = "the connection is closed before anything is said"
    said = what if error is None else f"{what}: {_words(error)}"
    return NoAnswerError(said, "is the scheduler running, and is the port its own?", may_pass=True)


def _words(error: OSError) -> str:
    """Return the text of a system error, without its number."""
    return error.strerror or str(error) or type(error).__name__
