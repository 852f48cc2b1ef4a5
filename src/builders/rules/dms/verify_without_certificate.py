"""E9303: a DMS endpoint that verifies a certificate that it does not have."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._dms import is_postgresql
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT


class VerifyWithoutCertificate(Rule):
    """Reports a PostgreSQL endpoint with SslMode verify-ca or verify-full and no CertificateArn."""

    id = "E9303"
    shortdesc = "A DMS endpoint that verifies without a certificate"
    why = "DMS has no certificate authorities of its own: the endpoint is refused."
    source = "AWS DMS user guide, 'Using SSL with AWS Database Migration Service'"
    bad = """
    Resources:
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: target, EngineName: postgres, SslMode: verify-full}
    """
    good = """
    Parameters:
      AuthorityPem: {Type: String}
    Resources:
      Authority:
        Type: AWS::DMS::Certificate
        Properties: {CertificatePem: !Ref AuthorityPem}
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: target, EngineName: postgres, SslMode: verify-full, CertificateArn: !Ref Authority}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for endpoint in template.resources("AWS::DMS::Endpoint"):
            if not is_postgresql(template, endpoint):
                continue
            for mode in template.constants(endpoint, "SslMode"):
                for certificate in template.branches(endpoint, "CertificateArn"):
                    verifies = mode.value in ("verify-ca", "verify-full")
                    if verifies and certificate.value is ABSENT and template.possible(mode, certificate):
                        yield RuleFinding(
                            mode, f"{endpoint.name} has SslMode {mode.value} and no CertificateArn: add one"
                        )
