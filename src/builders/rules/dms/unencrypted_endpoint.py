"""W9302: a DMS endpoint that does not ask for TLS."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._dms import TLS_MODES
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT


class UnencryptedEndpoint(Rule):
    """Reports an endpoint of DMS whose SslMode is none or not given, where its engine can use TLS and does not by
    itself: PostgreSQL, MySQL, MariaDB, Aurora, Oracle, SQL Server, Db2, MongoDB, DocumentDB.
    """

    id = "W9302"
    shortdesc = "A DMS endpoint without TLS"
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

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for endpoint in template.resources("AWS::DMS::Endpoint"):
            engines = {str(value.value).lower() for value in template.constants(endpoint, "EngineName")}
            modes = TLS_MODES.get(engines.pop()) if len(engines) == 1 else None
            attributes = template.branches(endpoint, "ExtraConnectionAttributes")
            if modes is None or any("ssl" in repr(value.value).lower() for value in attributes):
                continue
            for mode in template.constants(endpoint, "SslMode"):
                if mode.value in (ABSENT, "none") and mode.parameter is None and template.possible(mode):
                    yield RuleFinding(mode, f"{endpoint.name} connects without TLS: set SslMode to {modes}")
