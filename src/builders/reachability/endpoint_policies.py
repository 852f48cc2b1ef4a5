"""Evaluation of a VPC endpoint's policy for a request: the part of IAM's language that such policies here use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Request:
    """A call through an endpoint: who of which account does what with a resource of which account."""

    action: str
    resource: str
    principal_account: str
    resource_account: str

    @property
    def context(self) -> dict[str, str]:
        """The condition keys that a policy can ask for (IAM user guide, "AWS global condition context keys")."""
        return {"aws:PrincipalAccount": self.principal_account, "aws:ResourceAccount": self.resource_account}


def allows(policy: Mapping[str, Any], request: Request, *, at_gateway: bool = False) -> bool:
    """Return whether the policy lets the request through: some Allow fits it, and no Deny does.

    What this reader does not know counts against the request: such a condition keeps an Allow from fitting and a
    Deny from not fitting.
    """
    fitting = {
        statement["Effect"]
        for statement in _as_list(policy.get("Statement", []))
        if _fits(statement, request, at_gateway=at_gateway)
    }
    return fitting == {"Allow"}


def _fits(statement: Mapping[str, Any], request: Request, *, at_gateway: bool) -> bool:
    return (
        _fits_principal(statement.get("Principal"), request, at_gateway=at_gateway)
        and any(fnmatchcase(request.action.lower(), str(action).lower()) for action in _as_list(statement["Action"]))
        and any(fnmatchcase(request.resource, str(resource)) for resource in _as_list(statement["Resource"]))
        and _fits_conditions(statement, request)
    )


def _fits_principal(principal: Any, request: Request, *, at_gateway: bool) -> bool:
    named = _as_list(principal["AWS"]) if isinstance(principal, Mapping) and "AWS" in principal else _as_list(principal)
    if "*" in named:
        return True
    # At a gateway endpoint an account's ARN means its root user alone (AWS PrivateLink guide, "Control access to VPC
    # endpoints using endpoint policies"), and nobody works as that.
    return not at_gateway and any(str(name).endswith(f"::{request.principal_account}:root") for name in named)


def _fits_conditions(statement: Mapping[str, Any], request: Request) -> bool:
    conditions = dict(statement.get("Condition", {}))
    equal = conditions.pop("StringEquals", {})
    if conditions:
        return bool(statement["Effect"] == "Deny")
    return all(request.context.get(key) in _as_list(expected) for key, expected in equal.items())


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
