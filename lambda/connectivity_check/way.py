"""One way from here to a server, gone step by step: resolve, connect, ask for TLS, verify, log in.

Each step has a time of its own, so that it is known which one hangs.
"""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass

from advice import ADVICE
from custom_resource import ResourceFailed
from deadline import Deadline, run_within
from function_errors import OutOfTime
from transport import SSL_REQUEST, DeadlineSocket

STEP_SECONDS = 5.0


@dataclass(frozen=True)
class Way:
    """A server and what it is to us: "source", "target" or "endpoint", which decides what advice helps.

    Without a port, 0, it is the one that its secret names.
    """

    role: str
    host: str
    port: int

    def __str__(self) -> str:
        """As a reason begins."""
        return f"{self.role} {self.host}:{self.port}" if self.port else f"{self.role} {self.host}"


class StepFailed(ResourceFailed):
    """The way ended at a step; `is_final` where trying again does not help."""

    def __init__(self, way: Way, step: str, what: str, cause: str, *, is_final: bool = False) -> None:
        super().__init__(f"{way}, {step}: {what}; {ADVICE[way.role, cause]}")
        self.is_final = is_final


def resolve(way: Way, deadline: Deadline) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """The addresses that the name has, in the resolver's order, each with its family."""

    def ask() -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
        found = socket.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM)
        return [(family, address[:2]) for family, _, _, _, address in found]  # type: ignore[misc]

    try:
        return run_within(Deadline(deadline.remaining(STEP_SECONDS)), ask)
    except OutOfTime:
        raise StepFailed(way, "resolve", "no name server answered", "name") from None
    except (OSError, UnicodeError) as error:
        raise StepFailed(way, "resolve", f"the name has no address ({_words(error)})", "name") from error


def connect(way: Way, deadline: Deadline) -> socket.socket:
    """A TCP connection to the first address that takes one."""
    failure = StepFailed(way, "resolve", "the name has no address", "name")
    for family, address in resolve(way, deadline):
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(deadline.remaining(STEP_SECONDS))
            plain.connect(address)
            # The driver writes in small pieces: with Nagle each login waits 40 ms for a delayed acknowledgement.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain
        except TimeoutError:
            plain.close()
            failure = StepFailed(way, "connect", f"{address[0]} did not answer in time", "silence")
        except OSError as error:
            plain.close()
            cause = "refusal" if error.errno == errno.ECONNREFUSED else "silence"
            failure = StepFailed(way, "connect", f"{address[0]} was not reached ({_words(error)})", cause)
    raise failure


def ask_for_tls(way: Way, plain: socket.socket, deadline: Deadline) -> None:
    """Ask PostgreSQL for TLS, in the clear and before anything else."""
    try:
        plain.settimeout(deadline.remaining(STEP_SECONDS))
        plain.sendall(SSL_REQUEST)
        answer = plain.recv(1)
    except TimeoutError:
        raise StepFailed(way, "SSLRequest", "no answer in time", "no PostgreSQL") from None
    except OSError as error:
        raise StepFailed(way, "SSLRequest", f"the connection broke ({_words(error)})", "no PostgreSQL") from error
    if answer == b"N":
        raise StepFailed(way, "SSLRequest", "the server offers no TLS", "no TLS", is_final=True)
    if answer != b"S":
        what = "the server closed the connection" if not answer else "the answer is not PostgreSQL's"
        raise StepFailed(way, "SSLRequest", what, "no PostgreSQL")


def encrypt(way: Way, plain: socket.socket, context: ssl.SSLContext, deadline: Deadline) -> DeadlineSocket:
    """TLS, verified as the context says; the plain socket is used up."""
    try:
        plain.settimeout(deadline.remaining(STEP_SECONDS))
        encrypted = context.wrap_socket(plain, server_hostname=way.host)
    except ssl.SSLCertVerificationError as error:
        what = f"the certificate is not accepted ({error.verify_message})"
        raise StepFailed(way, "TLS", what, "certificate", is_final=True) from error
    except TimeoutError:
        raise StepFailed(way, "TLS", "no answer in time", "no TLS") from None
    except (OSError, ValueError) as error:
        raise StepFailed(way, "TLS", f"the handshake broke ({_words(error)})", "no TLS") from error
    assert isinstance(encrypted, DeadlineSocket)
    encrypted.deadline = deadline
    return encrypted


def _words(error: Exception) -> str:
    """The system's words where it has some: an OSError's own text repeats its number."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
