"""W9309: a PostgreSQL source without a heartbeat."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._dms import is_postgresql
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT


class IdleSource(Rule):
    """Reports HeartbeatEnable off or absent on a PostgreSQL source, unless its tasks only do a full load."""

    id = "W9309"
    shortdesc = "A PostgreSQL source of DMS without a heartbeat"
    why = "While the migrated tables are idle the replication slot does not advance, and WAL fills the source's disk."
    source = "AWS DMS user guide, 'Using PostgreSQL databases as a source', write-ahead log heartbeat"
    bad = """
    Resources:
      Source:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: source, EngineName: postgres, SslMode: require}
    """
    good = """
    Resources:
      Source:
        Type: AWS::DMS::Endpoint
        Properties:
          EndpointType: source
          EngineName: postgres
          SslMode: require
          PostgreSqlSettings: {HeartbeatEnable: true}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for endpoint in template.resources("AWS::DMS::Endpoint"):
            if is_postgresql(template, endpoint, "source") and not _only_full_load(template, endpoint):
                for switch in template.constants(endpoint, "PostgreSqlSettings.HeartbeatEnable"):
                    if switch.value in (ABSENT, False, "false") and template.possible(switch):
                        yield RuleFinding(switch, f"{endpoint.name} sends no heartbeat: set HeartbeatEnable to true")


def _only_full_load(template: Template, endpoint: Resource) -> bool:
    kinds = {
        str(kind.value)
        for task in template.resources("AWS::DMS::ReplicationTask")
        if endpoint in [template.target(value.value) for value in template.branches(task, "SourceEndpointArn")]
        for kind in template.constants(task, "MigrationType")
    }
    return kinds == {"full-load"}
