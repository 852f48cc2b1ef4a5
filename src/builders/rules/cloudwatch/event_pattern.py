"""E9609: an event pattern that no event matches."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Finding, Rule
from builders.rules._template import Template
from builders.rules._values import Value, function_of

_ENVELOPE = ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail", "replay-name", "$or")
_DETAIL_TYPES = {
    "aws.dms": {
        "DMS Replication Task State Change": ("type", "category", "eventType", "eventId", "resourceLink", "detailMessage"),
        "DMS Replication Instance State Change": ("type", "category", "eventType", "eventId", "resourceLink", "detailMessage"),
        "DMS Replication State Change": ("type", "category", "eventType", "eventId", "resourceLink", "detailMessage"),
    },
    "aws.rds": {
        f"RDS DB {thing} Event": ("EventCategories", "SourceType", "SourceArn", "Date", "Message", "SourceIdentifier", "EventID", "Tags")
        for thing in ("Instance", "Cluster", "Snapshot", "Cluster Snapshot", "Parameter Group", "Security Group", "Proxy")
    },
}
"""Source, its detail-types, and the fields of their detail (AWS DMS user guide, 'Working with Amazon EventBridge events';
Amazon RDS user guide, 'Overview of events for Amazon RDS')."""
_ANY_SOURCE = ("AWS API Call via CloudTrail", "AWS Service Event via CloudTrail", "AWS Health Event")


class EventPattern(Rule):
    id = "E9609"
    shortdesc = "An event pattern that no event matches"
    what = (
        "Reports a top-level field that no event has, and, for events of DMS and RDS, a detail-type that the service"
        " does not send or a field that its detail does not have."
    )
    why = "EventBridge takes any pattern; one on a field that is not there matches nothing, and nobody is told."
    source = "Amazon EventBridge user guide, 'AWS service event structure'"
    bad = """
    Resources:
      Failed:
        Type: AWS::Events::Rule
        Properties:
          EventPattern: {source: [aws.dms], detail-type: [DMS Replication Task State Change], detail: {status: [failed]}}
    """
    good = """
    Resources:
      Failed:
        Type: AWS::Events::Rule
        Properties:
          EventPattern:
            source: [aws.dms]
            detail-type: [DMS Replication Task State Change]
            detail: {eventId: [DMS-EVENT-0078]}
    """

    def check(self, template: Template) -> Iterator[Finding]:
        for rule in template.resources("AWS::Events::Rule"):
            for pattern in template.branches(rule, "EventPattern"):
                if not isinstance(pattern.value, dict) or function_of(pattern.value)[0]:
                    continue
                for field in pattern.value:
                    if str(field) not in _ENVELOPE and not str(field).startswith("Fn::") and template.possible(pattern):
                        yield Finding((*pattern.path, field), f"no event has a field {field!r} at its top")
                yield from self._check_details(template, pattern)

    def _check_details(self, template: Template, pattern: Value) -> Iterator[Finding]:
        sources, types = _texts(pattern.value.get("source")), _texts(pattern.value.get("detail-type"))
        known = [_DETAIL_TYPES[source] for source in sources or [] if source in _DETAIL_TYPES]
        if len(known) != 1 or len(sources or []) != 1 or not template.possible(pattern):
            return
        for detail_type in types or []:
            if detail_type not in (*known[0], *_ANY_SOURCE):
                where = (*pattern.path, "detail-type")
                yield Finding(where, f"{(sources or [''])[0]} sends no {detail_type!r}: it sends {', '.join(known[0])}")
        detail = pattern.value.get("detail")
        if types and all(kind in known[0] for kind in types) and isinstance(detail, dict):
            fields = {field for kind in types for field in known[0][kind]}
            for field in detail:
                if field not in fields and not str(field).startswith(("$", "Fn::")):
                    where = (*pattern.path, "detail", field)
                    yield Finding(where, f"the detail of this event has no {field!r}: it has {', '.join(sorted(fields))}")


def _texts(node: object) -> list[str] | None:
    """The texts of a pattern's list; None where it is something else (a prefix, a function, nothing)."""
    return list(node) if isinstance(node, list) and all(isinstance(text, str) for text in node) else None
