"""Findings of security scanners that are accepted, with the reason in the template where an auditor reads it."""

from __future__ import annotations

from typing import TypeVar

from troposphere import AWSObject

Resource = TypeVar("Resource", bound=AWSObject)


def accept(resource: Resource, reasons: dict[str, str]) -> Resource:
    """Let checkov pass over checks of one resource; `reasons` maps check ids such as CKV_AWS_157 to sentences.

    Source: Checkov documentation, "Suppressing and Skipping Policies", CloudFormation metadata.
    """
    skipped = [{"id": check, "comment": reason} for check, reason in sorted(reasons.items())]
    metadata = dict(resource.resource.get("Metadata", {}))
    resource.Metadata = {**metadata, "checkov": {"skip": skipped}}
    return resource
