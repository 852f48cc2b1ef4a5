"""pg8000's names that the functions use, imported without the X.509 parser that would cost more than all the rest.

Lambda has no byte code of a package's modules and keeps none, so every cold start compiles what it imports. pg8000's
SCRAM needs asn1crypto (12,000 lines) for one thing: the hash of the server certificate's signature, for the channel
binding tls-server-end-point (RFC 5929, section 4.1). The functions read that from the certificate themselves, and
import the parser for certificates that are signed in another way. So pg8000 is imported here and nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

_SEQUENCE = 0x30
# The AlgorithmIdentifiers' object identifiers in DER: RFC 4055 section 5 for RSA, RFC 5758 section 3.2 for ECDSA.
_SIGNATURE_HASHES = {
    bytes.fromhex("06092a864886f70d01010b"): "sha256",
    bytes.fromhex("06092a864886f70d01010c"): "sha384",
    bytes.fromhex("06092a864886f70d01010d"): "sha512",
    bytes.fromhex("06082a8648ce3d040302"): "sha256",
    bytes.fromhex("06082a8648ce3d040303"): "sha384",
    bytes.fromhex("06082a8648ce3d040304"): "sha512",
}


class ServerCertificate:
    """The part of asn1crypto's Certificate that scramp uses: `load`, and the name of the signature's hash."""

    def __init__(self, hash_algo: str) -> None:
        self.hash_algo = hash_algo

    @staticmethod
    def load(der: bytes, strict: bool = False) -> Any:
        """Read the signature's hash, or hand certificates that are signed otherwise to asn1crypto."""
        hash_algo = signature_hash(der)
        if hash_algo is not None:
            return ServerCertificate(hash_algo)
        return importlib.import_module("asn1crypto.x509").Certificate.load(der, strict=strict)


def signature_hash(certificate: bytes) -> str | None:
    """The hash of the signature of a certificate in DER by its name in hashlib; None where it is another or no DER.

    A certificate is a sequence of what is signed, the signature's algorithm and the signature (RFC 5280, section 4.1).
    """
    signed = _contents(certificate, 0)
    algorithm = signed and _contents(certificate, signed[0])
    identifier = algorithm and _contents(certificate, algorithm[1])
    if not identifier:
        return None
    return next((name for der, name in _SIGNATURE_HASHES.items() if certificate.startswith(der, identifier[0])), None)


def _contents(der: bytes, at: int) -> tuple[int, int] | None:
    """Return begin and end of the contents of the sequence at an offset; None where there is no whole sequence."""
    if len(der) < at + 2 or der[at] != _SEQUENCE:
        return None
    octets = der[at + 1] - 0x80 if der[at + 1] >= 0x80 else 0  # the long form: so many octets of length follow
    start = at + 2 + octets
    length = int.from_bytes(der[at + 2 : start], "big") if octets else der[at + 1]
    return (start, start + length) if 0 < length <= len(der) - start else None


def _import_scramp() -> ModuleType:
    """Import scramp with `ServerCertificate` in the place of asn1crypto's parser, which nothing else gets to see."""
    if "scramp" in sys.modules:
        return sys.modules["scramp"]
    substitutes = {name: ModuleType(name) for name in ("asn1crypto", "asn1crypto.pem", "asn1crypto.x509")}
    substitutes["asn1crypto.x509"].Certificate = ServerCertificate  # type: ignore[attr-defined]
    loaded = {name: sys.modules.pop(name) for name in substitutes if name in sys.modules}
    sys.modules |= substitutes
    try:
        return importlib.import_module("scramp")
    finally:
        for name in substitutes:
            del sys.modules[name]
        sys.modules |= loaded


def _skip_other_interfaces() -> None:
    """Let `pg8000.native` be imported without its package's `__init__`, which imports two more interfaces."""
    if "pg8000" not in sys.modules and (spec := importlib.util.find_spec("pg8000")):
        sys.modules["pg8000"] = importlib.util.module_from_spec(spec)


ScramException: type[Exception] = _import_scramp().ScramException
_skip_other_interfaces()

from pg8000.exceptions import DatabaseError, InterfaceError  # noqa: E402  only now, see above
from pg8000.native import Connection, identifier, literal  # noqa: E402

__all__ = ["Connection", "DatabaseError", "InterfaceError", "ScramException", "identifier", "literal"]
