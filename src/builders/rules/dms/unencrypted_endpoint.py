"""W9302: a DMS endpoint that does not ask for TLS."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._dms import is_postgresql
from builders.rules._rule import Finding, Rule
from builders.rules._template import Template
from builders.rules._values import ABSENT


class UnencryptedEndpoint(Rule):
    """Reports a PostgreSQL endpoint of DMS whose SslMode is none or not given."""

    id = "W9302"
    shortdesc = "A DMS endpoint of PostgreSQL without TLS"
    why = "The default is none: rows and passwords cross the network in clear."
    source = "AWS DMS user guide, 'Using SSL with AWS Database Migration Service'"
    bad = """
    Resources:
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: target, EngineName: postgres, SslMode: none}
    """
    good = """
    Resources:
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: target, EngineName: postgres, SslMode: require}
    """

    def _findings(self, template: Template) -> Iterator[Finding]:
        for endpoint in template.resources("AWS::DMS::Endpoint"):
            if not is_postgresql(template, endpoint):
                continue
            for mode in template.constants(endpoint, "SslMode"):
                if mode.value in (ABSENT, "none") and mode.parameter is None and template.possible(mode):
                    yield Finding(mode, f"{endpoint.name} connects without TLS: set SslMode to require or verify-full")
