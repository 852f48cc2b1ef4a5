"""A custom resource that a function of ours makes: when it runs again, and how long it may take."""

from __future__ import annotations

from typing import Any

from troposphere import awslambda, iam
from troposphere.cloudformation import CustomResource

from builders import parameters
from builders.layers import _functions
from builders.stack import Stack

PROPERTIES: dict[str, Any] = {**CustomResource.props, "PackageKey": (str, True), "ReleaseId": (str, True)}
"""The properties that every one has, as troposphere takes them."""


def add(
    stack: Stack,
    resource: type[CustomResource],
    title: str,
    behind: tuple[awslambda.Function, iam.ManagedPolicy],
    settings: _functions.Settings,
    **properties: Any,
) -> CustomResource:
    """Add the custom resource `title`, which the function and its policy in `behind` make.

    It runs when a property changes and at no other time. So the package's key is one, and a ReleaseId that the caller
    changes to have it run on a release that changes nothing else.
    """
    function, policy = behind
    release = stack.parameter(
        parameters.string(
            "ReleaseId",
            "Any word; a new one makes the users of the database and proves the ways of DMS again",
            pattern="^[A-Za-z0-9._-]{0,64}$",
            explanation="up to 64 letters, digits, dots, underscores and hyphens",
            default="",
            max_length=64,
        )
    )
    return stack.add(
        resource(
            title,
            ServiceToken=function.get_att("Arn"),
            ServiceTimeout=function.Timeout + _functions.ANSWER_SECONDS,
            PackageKey=settings.key.ref(),
            ReleaseId=release.ref(),
            DependsOn=[policy],
            **properties,
        )
    )
