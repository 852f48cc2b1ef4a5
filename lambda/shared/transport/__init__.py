"""A verified TLS connection to PostgreSQL, before a single byte says who is calling."""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

from deadline import Deadline
from function_errors import TlsRefused, Unreachable

CONNECT_SECONDS = 5.0
# No answer of the server takes longer in health: the slowest is a login's SCRAM exchange, a few milliseconds.
READ_SECONDS = 10.0
_RDS_ROOTS = Path(__file__).with_name("rds-ca.pem")
_OTHER_NAME = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH (OpenSSL, "X509_STORE_CTX_get_error")."""
# PostgreSQL, "SSL Session Encryption": length 8 and the code 80877103.
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class DeadlineSocket(ssl.SSLSocket):
    """A TLS socket that asks the deadline before every read and write, so that no trickle of bytes outlasts it."""

    deadline: Deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Read, unless the deadline has passed."""
        self.settimeout(self.deadline.remaining(READ_SECONDS))
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        """Write, unless the deadline has passed."""
        self.settimeout(self.deadline.remaining(READ_SECONDS))
        return super().send(*args, **kwargs)


@functools.cache
def tls_context(ca_file: str | None = None, pem: str | None = None) -> ssl.SSLContext:
    """Certificates must chain to the file's authorities, or to those in `pem`, or without either to the system's.

    They must carry the host's name, too, as with libpq's verify-full. Raises `ssl.SSLError` for a PEM that is none.
    """
    # No default context: from Python 3.13 on that demands details of RFC 5280, and takes an authority below a root for
    # a root. libpq does neither (github.com/python/cpython, issue 107361).
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file or pem:
        context.load_verify_locations(ca_file, cadata=pem)
    else:
        context.load_default_certs()
    context.sslsocket_class = DeadlineSocket
    return context


def rds_context() -> ssl.SSLContext:
    """For databases in RDS: CA_BUNDLE, or else the RDS roots."""
    return tls_context(os.environ.get("CA_BUNDLE") or str(_RDS_ROOTS))


def encrypting() -> ssl.SSLContext:
    """A context that takes any certificate, as `require` does: for a source that the user says cannot be verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = DeadlineSocket
    return context


def open_tls(host: str, port: int, deadline: Deadline, context: ssl.SSLContext | None = None) -> DeadlineSocket:
    """Connect, ask for TLS and verify the server, in RDS or as `context` says; raises Unreachable or TlsRefused."""
    context = context or rds_context()
    plain = _connect(host, port, deadline)
    try:
        _ask_for_tls(plain, deadline)
        plain.settimeout(deadline.remaining(READ_SECONDS))
        encrypted = context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        raise TlsRefused(
            f"the certificate of the secret's host was not accepted ({_refusal(error)}): the password was not sent; "
            "it must be signed by an RDS root (or CA_BUNDLE, or the source's authority) and name this host"
        ) from error
    except (OSError, ValueError) as error:
        plain.close()
        raise Unreachable(f"TLS with the secret's host was not established ({_reason(error)})") from error
    except BaseException:
        plain.close()
        raise
    assert isinstance(encrypted, DeadlineSocket)
    encrypted.deadline = deadline
    return encrypted


def _ask_for_tls(plain: socket.socket, deadline: Deadline) -> None:
    plain.settimeout(deadline.remaining(READ_SECONDS))
    plain.sendall(SSL_REQUEST)
    answer = plain.recv(1)
    if not answer:
        raise ConnectionResetError("the server closed the connection when asked for TLS")
    if answer != b"S":
        raise TlsRefused("the secret's host does not offer TLS: nothing else was sent; switch TLS on at the server")


def _connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    error: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in _resolve(host, port, deadline):
        candidate = socket.socket(family, kind, protocol)
        try:
            candidate.settimeout(deadline.remaining(CONNECT_SECONDS))
            candidate.connect(address)
            # The driver writes in small pieces: with Nagle each login waits 40 ms for a delayed acknowledgement.
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return candidate
        except OSError as failure:
            candidate.close()
            error = failure
    raise Unreachable(
        f"no connection to the secret's host and port ({_reason(error)}): check security groups, routes and the host"
    )


def _resolve(host: str, port: int, deadline: Deadline) -> list[Any]:
    """getaddrinfo with a time limit, which it lacks."""
    answers: list[Any] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            answers.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            errors.append(error)

    resolver = threading.Thread(target=ask, name="resolver", daemon=True)
    resolver.start()
    resolver.join(deadline.remaining(CONNECT_SECONDS))
    if errors:
        raise Unreachable(f"the secret's host does not resolve ({_reason(errors[0])})") from errors[0]
    if not answers:
        raise Unreachable(f"the secret's host did not resolve in {CONNECT_SECONDS:.0f} s")
    return answers


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    # Any other error than the system's may quote the host.
    return f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__


def _refusal(error: ssl.SSLCertVerificationError) -> str:
    """OpenSSL's words; of another name its own, since OpenSSL's repeat the host."""
    return "it names another host" if error.verify_code in _OTHER_NAME else error.verify_message
