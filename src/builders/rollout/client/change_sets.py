"""Change sets of CloudFormation: made, described in pages, executed or deleted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResourceChange:
    """A change as DescribeChangeSet tells it.

    `action` is Add, Modify, Remove, Dynamic or Import; `replacement` is True, False, Conditional or empty; `causes` are
    the properties and attributes that change, such as "Properties.DBInstanceClass" or "Tags"; `policy_action` is
    Delete, Retain, Snapshot, ReplaceAndDelete, ReplaceAndRetain, ReplaceAndSnapshot or empty.
    """

    logical_id: str
    type: str
    action: str
    replacement: str = ""
    causes: tuple[str, ...] = ()
    physical_id: str = ""
    policy_action: str = ""
