"""Typed makers of template parameters, and the parameters that several layers share.

Every parameter has a description and bounds; a fact about somebody's account has no default. Makers return new
objects on every call, since troposphere binds what it is given.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

from troposphere import Parameter, Ref

from builders import naming

_ADDRESS = r"((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
LOG_RETENTION_DAYS = (30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
"""Periods of CloudWatch Logs from 30 days on (CloudWatch Logs API reference, "PutRetentionPolicy")."""
DAYS_OF_A_YEAR = 365
PCI_DSS = "PCI-DSS"
"""The compliance scope of card data."""
ASNS_FROM_4200000000 = (
    "42[0-8][0-9]{7}|429[0-3][0-9]{6}|4294[0-8][0-9]{5}|42949[0-5][0-9]{4}|429496[0-6][0-9]{3}|4294967[01][0-9]{2}|"
    "42949672[0-8][0-9]|429496729[0-4]"
)
"""A pattern of the private ASNs of 32 bits, 4200000000 to 4294967294 (Direct Connect API reference,
"CreateDirectConnectGateway"); 4294967295 is nobody's (RFC 7300)."""


@functools.cache
def reference(name: str) -> Ref:
    """A reference to a parameter that every template has; one object serves all, since nothing binds a reference."""
    return Ref(name)


def string(
    name: str,
    description: str,
    *,
    pattern: str,
    explanation: str,
    default: str | None = None,
    max_length: int | None = None,
) -> Parameter:
    """A text that matches `pattern`, explained in the words that CloudFormation shows when it does not."""
    parameter = Parameter(
        name, Type="String", Description=description, AllowedPattern=pattern, ConstraintDescription=explanation
    )
    if max_length is not None:
        parameter.MaxLength = max_length
    return _with_default(parameter, default)


def choice(name: str, description: str, values: Sequence[str], default: str | None = None) -> Parameter:
    """One of `values`."""
    parameter = Parameter(name, Type="String", Description=description, AllowedValues=list(values))
    return _with_default(parameter, default)


def boolean(name: str, description: str, default: bool = False) -> Parameter:
    """ "true" or "false"; off unless the caller says otherwise."""
    return choice(name, description, ["true", "false"], "true" if default else "false")


def integer(name: str, description: str, *, minimum: int, maximum: int, default: int | None = None) -> Parameter:
    """A whole number from `minimum` to `maximum`, both included; the unit stands in the name."""
    parameter = Parameter(name, Type="Number", Description=description, MinValue=minimum, MaxValue=maximum)
    return _with_default(parameter, default)


def number_choice(name: str, description: str, values: Sequence[int], default: int) -> Parameter:
    """One of the numbers that a service takes."""
    return Parameter(name, Type="Number", Description=description, AllowedValues=list(values), Default=default)


def cidr(
    name: str,
    description: str,
    *,
    default: str | None = None,
    optional: bool = False,
    prefix_lengths: tuple[int, int] = (0, 32),
) -> Parameter:
    """An IPv4 range such as 10.0.0.0/16, its prefix length within bounds that are both included.

    An optional one may be empty, and is by default.
    """
    shortest, longest = prefix_lengths
    pattern = f"^{_ADDRESS}/({_numbers(shortest, longest)})$"
    explanation = f"an IPv4 range such as 10.0.0.0/16, from /{shortest} to /{longest}"
    return string(
        name,
        description,
        pattern=f"^$|{pattern}" if optional else pattern,
        explanation=explanation + (", or empty" if optional else ""),
        default="" if optional and default is None else default,
    )


def cidrs(name: str, description: str, *, prefix_lengths: tuple[int, int]) -> Parameter:
    """IPv4 ranges joined by commas, in one text for `Fn::Split`; empty by default.

    Not a CommaDelimitedList: an empty one has a member, and no condition that cfn-lint follows tells it from a range.
    """
    shortest, longest = prefix_lengths
    one = f"{_ADDRESS}/({_numbers(shortest, longest)})"
    explanation = f"IPv4 ranges from /{shortest} to /{longest}, joined by commas without spaces, or empty"
    return string(name, description, pattern=f"^$|^{one}(,{one})*$", explanation=explanation, default="")


def address(name: str, description: str) -> Parameter:
    """An IPv4 address such as 10.0.0.10, or empty, which it is by default."""
    return string(
        name,
        description,
        pattern=f"^$|^{_ADDRESS}$",
        explanation="an IPv4 address such as 10.0.0.10, or empty",
        default="",
    )


def identifier(name: str, description: str, *, prefix: str, optional: bool = False) -> Parameter:
    """The id of a thing in AWS, such as tgw-0123456789abcdef0 for the prefix "tgw"."""
    pattern = f"^{prefix}-[0-9a-f]{{8,17}}$"
    explanation = f"an id that begins with {prefix}-" + (", or empty" if optional else "")
    return string(
        name,
        description,
        pattern=f"^$|{pattern}" if optional else pattern,
        explanation=explanation,
        default="" if optional else None,
    )


def environment_suffix() -> Parameter:
    """The word that ends every physical name and export: one a deployed environment."""
    return string(
        naming.SUFFIX,
        "Ends every name, so that environments can share an account: dev, staging, prod, pr1234",
        pattern=naming.SUFFIX_PATTERN,
        explanation=f"up to {naming.SUFFIX_MAX_LENGTH} lower-case letters and digits, without hyphens",
        max_length=naming.SUFFIX_MAX_LENGTH,
    )


def common() -> list[Parameter]:
    """The parameters of every template: the suffix and what the tags say."""
    return [
        environment_suffix(),
        string(
            naming.MIGRATION_PHASE,
            "Phase of the migration that this stack belongs to, for tags and the operator role's external id",
            pattern=naming.PHASE_PATTERN,
            explanation="lower-case letters and digits, with single hyphens between them",
            max_length=naming.SUFFIX_MAX_LENGTH,
        ),
        string(
            naming.COST_CENTER,
            "Cost center that pays for the resources, for tags",
            pattern=r"^[\w.:/=+@-][\w .:/=+@-]*$",
            explanation="up to 256 of the characters that a tag takes",
            max_length=256,
        ),
        string(
            naming.COMPLIANCE_SCOPE,
            "Compliance scope of the data, for tags",
            pattern=r"^[\w.:/=+@-][\w .:/=+@-]*$",
            explanation="up to 256 of the characters that a tag takes",
            default=PCI_DSS,
            max_length=256,
        ),
    ]


def permissions_boundary() -> Parameter:
    """The policy that limits the roles of a phase: by its name, which is the same in every account."""
    return string(
        "PermissionsBoundary",
        f"Policy that limits every role of the phase, such as {naming.PERMISSIONS_BOUNDARY}-dev; empty for none",
        pattern=r"^$|^[\w+=,.@/-]+$",
        explanation="the name of a managed policy, or empty",
        default="",
        max_length=256,
    )


def database_port() -> Parameter:
    """The port of the target database: `network` opens it and `database` listens on it."""
    return integer(
        "DatabasePort",
        "Port that the target database listens on; another one restarts the database",
        minimum=1150,
        maximum=65535,
        default=5432,
    )


def log_retention() -> Parameter:
    """Days for which logs are kept; layers declare it by `Stack.log_retention`, which holds it to a year."""
    return number_choice("LogRetentionDays", "Days for which logs are kept", LOG_RETENTION_DAYS, 400)


def _numbers(first: int, last: int) -> str:
    """A pattern of the numbers from `first` to `last`, a group for each ten, since templates have little room."""
    tens = itertools.groupby(range(first, last + 1), key=lambda number: number // 10)
    groups = [(ten, [number % 10 for number in numbers]) for ten, numbers in tens]
    return "|".join(f"{ten or ''}[{digits[0]}-{digits[-1]}]" for ten, digits in groups)


def _with_default(parameter: Parameter, default: str | int | None) -> Parameter:
    if default is not None:
        parameter.Default = default
    return parameter
