"""Parameters that name accounts and organizations: whom a policy trusts is a fact of the user, never a default."""

from __future__ import annotations

from troposphere import Equals, Not, Parameter, Ref

from builders import parameters
from builders.stack import Stack

ACCOUNT_ID = r"\d{12}"
ORGANIZATION_ID = "o-[a-z0-9]{10,32}"
"""Organizations API reference, "Organization"."""


def account_id(name: str, description: str) -> Parameter:
    """The id of one account."""
    return parameters.string(name, description, pattern=f"^{ACCOUNT_ID}$", explanation="an account id of 12 digits")


def account_ids(name: str, description: str) -> Parameter:
    """Ids of accounts, joined by commas, in one text for `Fn::Split`; none by default.

    Not a CommaDelimitedList: `Rules` know no function that tells an empty one.
    """
    return parameters.string(
        name,
        description,
        pattern=f"^$|^{ACCOUNT_ID}(,{ACCOUNT_ID})*$",
        explanation="account ids of 12 digits, joined by commas without spaces, or empty",
        default="",
    )


def declare_organization(stack: Stack, description: str) -> tuple[Ref, str]:
    """Declare OrganizationId, and return it with the name of the condition that it is given."""
    organization = stack.parameter(
        parameters.string(
            "OrganizationId",
            description,
            pattern=f"^$|^{ORGANIZATION_ID}$",
            explanation="an organization's id that begins with o-, or empty",
            default="",
        )
    ).ref()
    return organization, stack.condition("HasOrganization", Not(Equals(organization, "")))
