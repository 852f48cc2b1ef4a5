"""The shapes of EventBridge's events, for the services that the rules know; read in November 2026."""

from __future__ import annotations

ENVELOPE = (
    *("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail", "replay-name"),
    "$or",
)
"""The fields at the top of every event (Amazon EventBridge user guide, "AWS service event structure")."""

_DMS = ("type", "category", "eventType", "eventId", "resourceLink", "detailMessage")
_RDS = (*("EventCategories", "SourceType", "SourceArn", "Date", "Message", "SourceIdentifier", "EventID", "Tags"),)
DETAILS: dict[str, dict[str, tuple[str, ...]]] = {
    "aws.dms": {
        f"DMS {thing} State Change": _DMS for thing in ("Replication Task", "Replication Instance", "Replication")
    },
    "aws.rds": {
        f"RDS DB {thing} Event": _RDS
        for thing in (
            *("Instance", "Cluster", "Snapshot", "Cluster Snapshot", "Parameter Group", "Security Group", "Proxy"),
            *("Shard Group", "Proxy Endpoint"),
        )
    },
}
"""Source, its detail-types, and the fields of their detail (AWS DMS user guide, "Working with Amazon EventBridge
events and notifications"; Amazon RDS user guide, "Creating a rule that triggers on an Amazon RDS event").
Newer services of the two send others too: see the rule that reads this."""

ANY_SOURCE = ("AWS API Call via CloudTrail", "AWS Service Event via CloudTrail", "AWS Health Event")
"""The detail-types that other services send in the name of any source."""
