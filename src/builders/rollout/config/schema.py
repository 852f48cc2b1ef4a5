"""rollout.yaml as pydantic models; their descriptions and examples become the JSON schema that editors read.

A validator raises `ValueError` with the value, what is allowed and what to do; pydantic gathers them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, WithJsonSchema

from builders.naming import ORGANIZATION_ROLE, PHASE_PATTERN, SUFFIX_MAX_LENGTH, UNITS_LIMIT
from builders.regions import REGION, known_regions, partitions
from builders.text import suggestion

KeyPath = tuple[str | int, ...]
"""The keys and the numbers of list items that lead to a value."""

ACCOUNT = "^[0-9]{12}$"
_TARGET = "^[0-9]{12}/[a-z0-9-]+$"
_UNIT = "^(ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}|r-[0-9a-z]{4,32})$"
"""AWS Organizations API reference, "OrganizationalUnit", "Root"."""

_ROLE = "^([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}$"
"""IAM API reference, "CreateRole"; a role's path may come before its name."""

PATTERN_SENTENCES = {
    ACCOUNT: 'is not an account id; give its twelve digits in quotes, such as "111111111111"',
    _TARGET: 'is not a target; write an account and a region, such as "111111111111/eu-west-1"',
    _UNIT: "is not an organizational unit; give its id, such as ou-ab12-cdef3456, or the root's",
    _ROLE: "is not a role's name; give the name alone, not its ARN",
    PHASE_PATTERN: (
        f"is not a phase's name; use up to {SUFFIX_MAX_LENGTH} lower-case letters and digits, joined by hyphens"
    ),
}
"""Messages about a value that does not match a pattern."""

_DURATION = "^([0-9]{1,6})([smh])$"
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_BAKE_SECONDS = 7 * 24 * 3600
_SHARE = "([0-9]{1,6})(%?)"
_PARTITIONS = ("aws", "aws-us-gov")
"""The partitions whose regions the layers are made for (docs/bootstrap.md)."""


def _region(value: str) -> str:
    if value not in known_regions():
        close = suggestion(value, sorted(known_regions()))
        advice = f"did you mean {close}?" if close else "give a region's code, such as eu-west-1"
        raise ValueError(f"{value!r} is not a region of AWS; {advice}")
    partition = partitions()[value]
    if partition not in _PARTITIONS:
        # Endpoint services and principals have other names there, such as cn.com.amazonaws.<region>.dms and
        # <service>.amazonaws.com.cn (AWS PrivateLink in China; aws-cdk, InterfaceVpcEndpointAwsService).
        where = "AWS China" if partition == "aws-cn" else f"the partition {partition}"
        raise ValueError(f"{value!r} is in {where}, for which the layers are not made; give another region")
    return value


def seconds(text: str) -> int:
    """The length of a duration such as 90s, 10m or 1h. Raises `ValueError` for anything else and above seven days."""
    match = re.fullmatch(_DURATION, text)
    if not match:
        raise ValueError(f"{text!r} is not a duration; write a number and its unit, such as 90s, 10m or 1h")
    length = int(match[1]) * _SECONDS[match[2]]
    if length > _LONGEST_BAKE_SECONDS:
        raise ValueError(f"{text} is longer than seven days; give a shorter time")
    return length


def _duration(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit; write {value}s for seconds or {value}m for minutes")
    if isinstance(value, str):
        seconds(value)
    return value


def _share(value: Any) -> Any:
    """A number of accounts or a percentage of them, as a text."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    match = re.fullmatch(_SHARE, text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{value!r} is not a share of accounts; write a number such as 5 or a percentage such as 25%")
    if match[2] and int(match[1]) > 100:
        raise ValueError(f"{text} is more than all; write at most 100%")
    return text


def _more_than_nothing(value: str) -> str:
    if int(value.rstrip("%")) == 0:
        raise ValueError(f"{value} deploys to no account at a time; write 1 or more, or a percentage such as 25%")
    return value


_SHARE_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^([0-9]{1,6}|(100|[1-9]?[0-9])%)$"}]}
)

AccountId = Annotated[str, Field(pattern=ACCOUNT)]
Region = Annotated[str, AfterValidator(_region), WithJsonSchema({"type": "string", "pattern": REGION})]
Unit = Annotated[str, Field(pattern=_UNIT)]
TargetName = Annotated[str, Field(pattern=_TARGET)]
PhaseName = Annotated[str, Field(pattern=PHASE_PATTERN, max_length=SUFFIX_MAX_LENGTH)]
RoleName = Annotated[str, Field(pattern=_ROLE)]
Duration = Annotated[
    str, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,6}[smh]$"})
]
Tolerance = Annotated[str, BeforeValidator(_share), _SHARE_SCHEMA]
MaxConcurrent = Annotated[str, BeforeValidator(_share), AfterValidator(_more_than_nothing), _SHARE_SCHEMA]
Text = Annotated[str, Field(min_length=1)]

# YAML's numbers and truth values are texts before pydantic reads them (`document`); an editor sees the file itself.
ParameterValue = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
Parameters = dict[Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9]{1,255}$"})], ParameterValue]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class SharedAccount(_Model):
    """An account that all phases share, and the parameters of its stacks."""

    account: AccountId = Field(examples=["888888888888"])
    """The account's id, in quotes."""
    parameters: Text = Field(examples=["environments/tooling.json"])
    """The parameter file of its stacks, relative to this file."""
    region_parameters: dict[Region, Parameters] = Field(
        default={}, examples=[{"eu-west-1": {"TransitGatewayAsn": "64514"}}]
    )
    """Parameters of a region; they replace those of the parameter file."""


class ToolingAccount(SharedAccount):
    """The account that rolls out, and the region of its stack sets."""

    region: Region | None = Field(default=None, examples=["us-east-1"])
    """The region of the stack sets, and of the bucket of journals and releases; by default the first region of the
    first phase. A change leaves all stack sets behind in the old region."""


class StackSetConfig(_Model):
    """The permissions with which StackSets deploys to the target accounts."""

    permission_model: Literal["SELF_MANAGED", "SERVICE_MANAGED"] = "SELF_MANAGED"
    """SELF_MANAGED uses the roles that `rollout-stacksets bootstrap` makes; SERVICE_MANAGED those of AWS Organizations,
    and needs targets.organizational_units."""
    call_as: Literal["SELF", "DELEGATED_ADMIN"] = "SELF"
    """DELEGATED_ADMIN where the tooling account is a delegated administrator for service-managed stack sets."""


class TargetConfig(_Model):
    """The accounts of a phase: exactly one of the three."""

    accounts: tuple[AccountId, ...] = Field(default=(), examples=[["111111111111"]])
    """Account ids, in quotes, in the order in which waves take them."""
    accounts_file: Text | None = Field(default=None, examples=["accounts/prod.txt"])
    """A file with one account id a line, or a JSON list of them, relative to this file."""
    organizational_units: tuple[Unit, ...] = Field(default=(), max_length=UNITS_LIMIT, examples=[["ou-ab12-cdef3456"]])
    """Organizational units, at most 50, whose accounts and those of the units below them are the targets."""


class WaveConfig(_Model):
    """Accounts that get the whole release before the next wave begins: give accounts, percent, count or rest."""

    name: Text = Field(examples=["canary"])
    """The name in plans and in the table of a run."""
    accounts: tuple[AccountId, ...] = Field(default=(), examples=[["111111111111"]])
    """Accounts of the phase."""
    percent: Annotated[int, Field(strict=True, ge=1, le=100)] | None = Field(default=None, examples=[50])
    """A percentage of the accounts that no earlier wave has, rounded up."""
    count: Annotated[int, Field(strict=True, ge=1)] | None = Field(default=None, examples=[10])
    """A number of the accounts that no earlier wave has."""
    rest: Literal[True] | None = None
    """Every account that no earlier wave has; always the last wave."""
    bake: Duration = "0s"
    """The time to wait after the wave: a number with s, m or h."""
    quiet_alarms: tuple[Text, ...] = Field(default=(), examples=[["payments-"]])
    """Prefixes of the names of alarms that must not be in ALARM after that time."""


class OperationConfig(_Model):
    """Preferences of one StackSets operation. The numbers hold in each region."""

    max_concurrent: MaxConcurrent = Field(default="1", examples=["25%", 5])
    """The number or percentage of accounts at a time."""
    failure_tolerance: Tolerance = Field(default="0", examples=["10%", 2])
    """The number or percentage of accounts that may fail before the operation stops in a region."""
    mode: Literal["STRICT", "SOFT"] = "STRICT"
    """STRICT never deploys to more accounts at a time than may still fail, plus one; SOFT keeps max_concurrent."""
    regions: Literal["SEQUENTIAL", "PARALLEL"] = "SEQUENTIAL"
    """SEQUENTIAL lets a region wait for the one before it."""


class PhaseConfig(_Model):
    """One phase: its accounts and regions, parameters and waves."""

    environment: Text = Field(examples=["environments/dev.json"])
    """The parameter file of the phase, relative to this file."""
    targets: TargetConfig
    """The phase's accounts."""
    regions: tuple[Region, ...] = Field(min_length=1, examples=[["us-east-1", "eu-west-1"]])
    """The phase's regions, in the order in which operations go through them."""
    parameters: Parameters = Field(default={})
    """Parameters that differ from the environment file."""
    region_parameters: dict[Region, Parameters] = Field(
        default={}, examples=[{"eu-west-1": {"VpcCidr": "10.30.0.0/16"}}]
    )
    """Parameters of a region; they replace `parameters`."""
    account_parameters: dict[AccountId, Parameters] = Field(default={}, examples=[{"111111111111": {"MultiAZ": True}}])
    """Parameters of an account; they replace those of a region."""
    place_parameters: dict[TargetName, Parameters] = Field(
        default={}, examples=[{"111111111111/eu-west-1": {"MultiAZ": True}}]
    )
    """Parameters of an account in one region; they replace all others."""
    leave_out: tuple[Text, ...] = Field(default=(), examples=[["rotation"]])
    """Layers that are not deployed in this phase."""
    waves: tuple[WaveConfig, ...] = (WaveConfig(name="rest", rest=True),)
    """The order in which the accounts are deployed; by default all at once."""
    concurrency: OperationConfig = OperationConfig()
    """Concurrency and failure tolerance of each operation."""


class RolloutFile(_Model):
    """The phases, and the accounts, regions and waves to which each is rolled out."""

    tooling: ToolingAccount
    """The account that rolls out, and keeps packages and releases."""
    network: SharedAccount | None = None
    """The account of the transit gateway and Direct Connect; leave it out where phases have their own connectivity."""
    deploy_role: RoleName = ORGANIZATION_ROLE
    """The role in the other accounts with which plain stacks are deployed and purged; looking needs none."""
    deploy_roles: dict[AccountId, RoleName] = Field(default={}, examples=[{"111111111111": "stackferry-deploy-dev"}])
    """The deploy roles of accounts where it has another name."""
    stacksets: StackSetConfig = StackSetConfig()
    """Permission model, and the account as which StackSets is called."""
    phases: dict[PhaseName, PhaseConfig] = Field(min_length=1)
    """The phases by name. Each is rolled out, and rolled back, alone."""

    _path: Path = PrivateAttr(default=Path("rollout.yaml"))
    _lines: Mapping[KeyPath, int] = PrivateAttr(default_factory=dict)
    _account_lists: Mapping[str, tuple[str, ...]] = PrivateAttr(default_factory=dict)

    def located(
        self,
        path: Path,
        lines: Mapping[KeyPath, int] | None = None,
        account_lists: Mapping[str, tuple[str, ...]] | None = None,
    ) -> RolloutFile:
        """Remember the path, the line of each value, and the accounts of phases that name a file of them."""
        self._path, self._lines, self._account_lists = path, lines or {}, account_lists or {}
        return self

    @property
    def path(self) -> Path:
        """The file itself; the files that it names are relative to its folder."""
        return self._path

    @property
    def lines(self) -> Mapping[KeyPath, int]:
        """The line of each key and list item, counted from 1."""
        return self._lines

    @property
    def home(self) -> str:
        """The region of the stack sets."""
        return self.tooling.region or next(iter(self.phases.values())).regions[0]

    def beside(self, name: str) -> Path:
        """A file that the rollout file names."""
        return self._path.parent / name

    def deploy_role_in(self, account: str) -> str:
        """The name of the deploy role of an account."""
        return self.deploy_roles.get(account, self.deploy_role)

    def accounts(self, phase: str) -> tuple[str, ...]:
        """The accounts that a phase names, in their order; none where it names organizational units."""
        return self._account_lists.get(phase) or self.phases[phase].targets.accounts
