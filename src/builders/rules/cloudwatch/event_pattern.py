"""E9609: an event pattern that no event matches."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from builders.rules._events import ANY_SOURCE, DETAILS, ENVELOPE
from builders.rules._functions import function_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import Value

_NEARLY = 0.9  # "DMS Data Migration State Change" is another event, "DMS Replication Task State Changed" is a slip


class EventPattern(Rule):
    """Reports a top-level field that no event has, and, for events of DMS and RDS, a detail-type that the service does
    not send or a field that its detail does not have.
    """

    id = "E9609"
    shortdesc = "An event pattern that no event matches"
    why = "EventBridge takes any pattern; one on a field that is not there matches nothing, and nobody is told."
    source = "Amazon EventBridge user guide, 'AWS service event structure'"
    bad = """
    Resources:
      Failed:
        Type: AWS::Events::Rule
        Properties:
          EventPattern:
            source: [aws.dms]
            detail-type: [DMS Replication Task State Change]
            detail: {status: [failed]}
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

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for rule in template.resources("AWS::Events::Rule"):
            for pattern in template.branches(rule, "EventPattern"):
                if not isinstance(pattern.value, dict) or function_of(pattern.value)[0]:
                    continue
                for field in pattern.value:
                    if str(field) not in ENVELOPE and not str(field).startswith("Fn::") and template.possible(pattern):
                        yield RuleFinding((*pattern.path, field), f"no event has a field {field!r} at its top")
                yield from self._check_details(template, pattern)

    def _check_details(self, template: Template, pattern: Value) -> Iterator[RuleFinding]:
        sources, types = _texts(pattern.value.get("source")), _texts(pattern.value.get("detail-type"))
        known = [DETAILS[source] for source in sources or [] if source in DETAILS]
        if len(known) != 1 or len(sources or []) != 1 or not template.possible(pattern):
            return
        for detail_type in types or []:
            if _is_misspelt(detail_type, list(known[0])):
                where = (*pattern.path, "detail-type")
                yield RuleFinding(
                    where, f"{(sources or [''])[0]} sends no {detail_type!r}: it sends {', '.join(known[0])}"
                )
        detail = pattern.value.get("detail")
        if types and all(kind in known[0] for kind in types) and isinstance(detail, dict):
            fields = {field for kind in types for field in known[0][kind]}
            for field in detail:
                if field not in fields and not str(field).startswith(("$", "Fn::")):
                    where = (*pattern.path, "detail", field)
                    yield RuleFinding(
                        where, f"the detail of this event has no {field!r}: it has {', '.join(sorted(fields))}"
                    )


def _is_misspelt(detail_type: str, known: list[str]) -> bool:
    """Return whether a detail-type is nearly a known one, or begins unlike all of the service's: others that
    begin so may be new."""
    if detail_type in (*known, *ANY_SOURCE):
        return False
    prefix = known[0].partition(" ")[0] + " "
    return not detail_type.startswith(prefix) or bool(difflib.get_close_matches(detail_type, known, cutoff=_NEARLY))


def _texts(node: object) -> list[str] | None:
    """The texts of a pattern's list; None where it is something else (a prefix, a function, nothing)."""
    return list(node) if isinstance(node, list) and all(isinstance(text, str) for text in node) else None
