"""What StackSets refuse with: the exception's name and its sentence, each in one place.

Names and HTTP statuses are those of the CloudFormation API reference. Sentences marked "(seen)" were read in public
threads or documents, which are named; the others are ours, since no public text shows AWS's own.
"""

from __future__ import annotations


class Refused(Exception):
    """An error of the API; `name` is the shape that the API reference gives it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def invalid(message: str) -> Refused:
    """The request cannot be meant."""
    return Refused("ValidationError", message)


def impossible(message: str) -> Refused:
    """The request is well-formed, but not in this state."""
    return Refused("InvalidOperationException", message)


def no_set(name: str) -> Refused:
    """(seen) aws-cloudformation/rain #585."""
    return Refused("StackSetNotFoundException", f"StackSet {name} not found")


def name_taken(name: str) -> Refused:
    """An active set of this name is there."""
    return Refused("NameAlreadyExistsException", f"StackSet {name} already exists")


def not_empty() -> Refused:
    """(seen) Reachability Analyzer guide, "Troubleshoot cross-account analyses"."""
    return Refused("StackSetNotEmptyException", "StackSet is not empty")


def no_instance(account: str, region: str) -> Refused:
    """The set has no instance there."""
    return Refused("StackInstanceNotFoundException", f"Stack instance in account {account}, region {region} not found")


def no_operation(operation_id: str) -> Refused:
    """The set never had this operation."""
    return Refused("OperationNotFoundException", f"Operation {operation_id} not found")


def in_progress(arn: str) -> Refused:
    """(seen) ansible-collections/community.aws #103, hashicorp/terraform-provider-aws #28675."""
    return Refused("OperationInProgressException", f"Another Operation on StackSet {arn} is in progress")


def operation_id_taken(operation_id: str) -> Refused:
    """The id belongs to another request."""
    return Refused("OperationIdAlreadyExistsException", f"Operation {operation_id} already exists")


def stale(operation_id: str) -> Refused:
    """The same request again, but the set has moved on since (API reference, StaleRequestException)."""
    message = f"Another operation has been performed on this StackSet since operation {operation_id}"
    return Refused("StaleRequestException", message)


def limit(message: str) -> Refused:
    """A quota is reached."""
    return Refused("LimitExceededException", message)
