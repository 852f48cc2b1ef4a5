"""The authorities that sign the certificates at both ends of the migration."""

from __future__ import annotations

import json
from pathlib import Path

from troposphere import And, Condition as IfCondition, Equals, FindInMap, Parameter, Region, dms

from builders.layers import _source
from builders.stack import Stack

ROOTS_FILE = "rds-ca-rsa2048-g1.json"
"""{region: PEM of its root "Amazon RDS <region> Root CA RSA2048 G1"}.

From Amazon's bundle of all roots (RDS user guide, "Using SSL/TLS to encrypt a connection to a DB instance",
certificate bundles). All regions together would make the template too large: another one is an entry more here, or in
the place of one that is not used (docs/migration.md).
"""

_MAPPING = "RegionRoots"
IS_SOURCE_VERIFIED = "IsSourceVerified"


def of_target(stack: Stack) -> dms.Certificate:
    """The root of this region's databases, which `database` asks for by CACertificateIdentifier."""
    roots = json.loads(Path(__file__).with_name(ROOTS_FILE).read_text(encoding="ascii"))
    stack.template.add_mapping(_MAPPING, {region: {"Pem": pem} for region, pem in roots.items()})
    return stack.add(dms.Certificate("TargetCertificate", CertificatePem=FindInMap(_MAPPING, Region, "Pem")))


def of_source(stack: Stack, wanted: str | None = None) -> dms.Certificate:
    """The authority that the user gives; there only where the source is verified, and `wanted`.

    Each layer has a certificate of its own: another authority is another certificate, and the export of one that
    changes, while another layer imports it, is refused.
    """
    mode: Parameter = stack.parameter(_source.ssl_mode())
    pem: Parameter = stack.parameter(_source.certificate())
    is_verified = Equals(mode.ref(), "verify-full")
    verified = stack.condition(IS_SOURCE_VERIFIED, And(IfCondition(wanted), is_verified) if wanted else is_verified)
    _source.must_be_verifiable(stack, mode, pem)
    return stack.add(dms.Certificate("SourceCertificate", Condition=verified, CertificatePem=pem.ref()))
