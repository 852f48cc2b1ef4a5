"""The functions import the driver without what a login does not need, and bind it to the server's certificate."""

from __future__ import annotations

import datetime
import os
import random
import subprocess
import sys
from pathlib import Path

import asn1crypto.x509
import postgres_driver
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

LAMBDA = Path(__file__).parents[2] / "lambda"
FUNCTIONS = sorted(index.parent for index in LAMBDA.glob("*/index.py"))
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P384 = ec.generate_private_key(ec.SECP384R1())
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)

_IMPORTED = """
import os, sys
import boto3
for function in sys.argv[1:]:
    if (child := os.fork()) == 0:
        sys.path.insert(0, function)
        import index
        print(os.path.basename(function), *sorted(sys.modules))
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, function
"""


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, **signing: object
) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "database")])
    start = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=9))
    signing.setdefault("algorithm", None)
    return builder.sign(key, **signing).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def modules() -> dict[str, set[str]]:
    """The modules that are loaded once each function is imported in a fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(LAMBDA / "shared"), "AWS_DEFAULT_REGION": "eu-central-1"}
    command = [sys.executable, "-c", _IMPORTED, *map(str, FUNCTIONS)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return {words[0]: set(words[1:]) for words in map(str.split, done.stdout.splitlines())}


@pytest.mark.parametrize("function", [folder.name for folder in FUNCTIONS])
def test_a_function_starts_without_the_parser_of_certificates_and_without_pg8000s_other_interfaces(
    modules: dict[str, set[str]], function: str
) -> None:
    loaded = modules[function]

    assert {"index", "pg8000.native", "scramp"} <= loaded
    assert not {name for name in loaded if name.startswith(("asn1crypto", "pg8000.dbapi", "pg8000.legacy"))}


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda one: one.name)
@pytest.mark.parametrize("key", [RSA, P384], ids=["rsa", "ecdsa"])
def test_the_hash_of_a_signature_is_what_the_parser_finds(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, algorithm: hashes.HashAlgorithm
) -> None:
    der = certificate(key, algorithm=algorithm)

    parsed = asn1crypto.x509.Certificate.load(der, strict=True).hash_algo
    assert (postgres_driver.signature_hash(der), parsed) == (algorithm.name, algorithm.name)


def test_a_certificate_that_is_signed_in_another_way_is_left_to_the_parser() -> None:
    der = certificate(RSA, algorithm=hashes.SHA256(), rsa_padding=PSS)

    assert postgres_driver.signature_hash(der) is None
    assert postgres_driver.ServerCertificate.load(der, strict=True).hash_algo == "sha256"


def test_bytes_that_are_no_certificate_have_no_hash() -> None:
    der = certificate(P384, algorithm=hashes.SHA384())
    chance = random.Random(5)
    damaged = [bytearray(der) for _ in range(300)]
    for one in damaged:
        one[chance.randrange(8)] = chance.randrange(256)

    assert {postgres_driver.signature_hash(der[:length]) for length in range(len(der))} == {None}
    assert {postgres_driver.signature_hash(bytes(one)) for one in damaged} <= {None, "sha384"}
