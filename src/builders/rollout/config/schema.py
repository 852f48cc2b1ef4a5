"""rollout.yaml as pydantic models; their descriptions and examples become the JSON schema that editors read."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, WithJsonSchema

from builders.naming import SUFFIX_MAX_LENGTH, SUFFIX_PATTERN
from builders.text import suggestion

_NAME = re.compile(r"[a-z]{2,4}(-[a-z]+){1,2}-\d{1,2}")


@functools.cache
def known_regions() -> frozenset[str]:
    """The regions of all partitions. The file is read by itself: botocore's loader would start all of botocore."""
    text = (resources.files("botocore") / "data" / "partitions.json").read_text(encoding="utf-8")
    return frozenset(
        region
        for partition in json.loads(text)["partitions"]
        for region in partition["regions"]
        if _NAME.fullmatch(region)
    )


_UNITS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_BAKE_SECONDS = 7 * 24 * 3600
_DURATION = re.compile(r"(\d{1,6})([smh])")
_SHARE = re.compile(r"(\d{1,6})(%?)")
_UNIT_ID = re.compile(r"ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}|r-[0-9a-z]{4,32}")
_PLACE = re.compile(r"\d{12}/[a-z0-9-]+")


def account_id(value: str) -> str:
    """The id itself. Raises `ValueError` for what is none."""
    if not re.fullmatch(r"\d{12}", value, re.ASCII):
        raise ValueError(f'{value!r} is no account id; give its twelve digits in quotes, such as "111111111111"')
    return value


def _region(value: str) -> str:
    if value not in known_regions():
        close = suggestion(value, sorted(known_regions()))
        advice = f"did you mean {close}?" if close else "give a region's code, such as eu-west-1"
        raise ValueError(f"{value!r} is no region that AWS has; {advice}")
    return value


def _unit(value: str) -> str:
    """AWS Organizations API reference, "OrganizationalUnit", "Root"."""
    if not _UNIT_ID.fullmatch(value):
        raise ValueError(f"{value!r} is no organizational unit; give its id, such as ou-ab12-cdef3456, or the root's")
    return value


def _target(value: str) -> str:
    if not _PLACE.fullmatch(value):
        raise ValueError(f'{value!r} is no place; write an account and a region, such as "111111111111/eu-west-1"')
    return value


def _phase_name(value: str) -> str:
    if not re.fullmatch(SUFFIX_PATTERN, value) or len(value) > SUFFIX_MAX_LENGTH:
        allowed = f"up to {SUFFIX_MAX_LENGTH} lower-case letters and digits, joined by hyphens"
        raise ValueError(f"{value!r} is no phase's name; use {allowed}")
    return value


def _role_name(value: str) -> str:
    """IAM API reference, "CreateRole"; a role's path may stand before its name."""
    if not re.fullmatch(r"([\w+=,.@-]+/)*[\w+=,.@-]{1,64}", value, re.ASCII):
        raise ValueError(f"{value!r} is no role's name; give the name alone, not its ARN")
    return value


def seconds(text: str) -> int:
    """The length of a duration such as 90s, 10m or 1h. Raises `ValueError` for anything else and above seven days."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no duration; write a number and its unit, such as 90s, 10m or 1h")
    length = int(match[1]) * _UNITS[match[2]]
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
    match = _SHARE.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{value!r} is no share of accounts; write a number such as 5 or a percentage such as 25%")
    if match[2] and int(match[1]) > 100:
        raise ValueError(f"{text} is more than all; write at most 100%")
    return text


def _more_than_nothing(value: str) -> str:
    if int(value.rstrip("%")) == 0:
        raise ValueError(f"{value} deploys to no account at a time; write 1 or more, or a percentage such as 25%")
    return value


def _text_schema(pattern: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, **more})


_SHARE_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": r"^(\d{1,6}|(100|[1-9]?\d)%)$"},
        ]
    }
)

AccountId = Annotated[str, AfterValidator(account_id), _text_schema(r"^\d{12}$")]
Region = Annotated[str, AfterValidator(_region), _text_schema(r"^[a-z]{2,4}(-[a-z]+){1,2}-\d{1,2}$")]
Unit = Annotated[str, AfterValidator(_unit), _text_schema(f"^({_UNIT_ID.pattern})$")]
TargetName = Annotated[str, AfterValidator(_target), _text_schema(r"^\d{12}/[a-z0-9-]+$")]
PhaseName = Annotated[str, AfterValidator(_phase_name), _text_schema(SUFFIX_PATTERN, maxLength=SUFFIX_MAX_LENGTH)]
RoleName = Annotated[str, AfterValidator(_role_name), WithJsonSchema({"type": "string"})]
Duration = Annotated[str, BeforeValidator(_duration), _text_schema(r"^\d{1,6}[smh]$")]
Tolerance = Annotated[str, BeforeValidator(_share), _SHARE_SCHEMA]
MaxConcurrent = Annotated[str, BeforeValidator(_share), AfterValidator(_more_than_nothing), _SHARE_SCHEMA]
Text = Annotated[str, Field(min_length=1)]

# YAML's numbers and truth values have become texts before this is asked (`nodes.py`); an editor sees the file itself.
ParameterValue = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
Parameters = dict[Annotated[str, _text_schema("^[A-Za-z0-9]{1,255}$")], ParameterValue]


KeyPath = tuple[str | int, ...]
"""Where a value stands: the keys and the numbers of list items that lead to it."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class SharedAccount(_Model):
    """An account that all phases share, and what its stacks are deployed with."""

    account: AccountId = Field(examples=["888888888888"])
    """The account's id, in quotes."""
    parameters: Text = Field(examples=["environments/tooling.json"])
    """The parameter file of its stacks, relative to this file."""
    region_parameters: dict[Region, Parameters] = Field(
        default={}, examples=[{"eu-west-1": {"TransitGatewayAsn": "64514"}}]
    )
    """What differs from the parameter file in a region."""


class ToolingAccount(SharedAccount):
    """The account that rolls out, and where its stack sets live."""

    region: Region | None = Field(default=None, examples=["us-east-1"])
    """The region of the stack sets, and of the bucket in which the rollout keeps its books; the first region of the
    first phase where nothing is said. Whoever changes it leaves all sets behind."""


class StackSetConfig(_Model):
    """How StackSets reaches the target accounts."""

    permission_model: Literal["SELF_MANAGED", "SERVICE_MANAGED"] = "SELF_MANAGED"
    """SELF_MANAGED uses the roles that `rollout-stacksets bootstrap` makes; SERVICE_MANAGED those of AWS Organizations,
    and wants targets.organizational_units."""
    call_as: Literal["SELF", "DELEGATED_ADMIN"] = "SELF"
    """DELEGATED_ADMIN where the tooling account is a delegated administrator for service-managed stack sets."""


class TargetConfig(_Model):
    """The accounts of a phase: exactly one of the three."""

    accounts: tuple[AccountId, ...] = Field(default=(), examples=[["111111111111"]])
    """Account ids, in quotes, in the order in which waves take them."""
    accounts_file: Text | None = Field(default=None, examples=["accounts/prod.txt"])
    """A file with one account id a line, or a JSON list of them, relative to this file."""
    organizational_units: tuple[Unit, ...] = Field(default=(), examples=[["ou-ab12-cdef3456"]])
    """The units whose accounts are meant, with those of the units below them."""


class WaveConfig(_Model):
    """Accounts that get the whole release before the next wave begins, by one of accounts, percent, count and rest."""

    name: Text = Field(examples=["canary"])
    """What the plan and the table of a run call it."""
    accounts: tuple[AccountId, ...] = Field(default=(), examples=[["111111111111"]])
    """These accounts of the phase."""
    percent: Annotated[int, Field(strict=True, ge=1, le=100)] | None = Field(default=None, examples=[50])
    """So many percent of the accounts that no earlier wave has, rounded up."""
    count: Annotated[int, Field(strict=True, ge=1)] | None = Field(default=None, examples=[10])
    """So many of the accounts that no earlier wave has."""
    rest: Literal[True] | None = None
    """Every account that no earlier wave has: the last wave, always."""
    bake: Duration = "0s"
    """How long to wait after the wave: a number with s, m or h."""
    quiet_alarms: tuple[Text, ...] = Field(default=(), examples=[["payments-"]])
    """Beginnings of the names of alarms that must not ring when the time is over."""


class OperationConfig(_Model):
    """How one operation goes through accounts and regions. The numbers hold in each region."""

    max_concurrent: MaxConcurrent = Field(default="1", examples=["25%", 5])
    """How many accounts at a time, or which percentage of them."""
    failure_tolerance: Tolerance = Field(default="0", examples=["10%", 2])
    """How many accounts may fail before the operation stops in a region."""
    mode: Literal["STRICT", "SOFT"] = "STRICT"
    """STRICT never has more accounts under way than may still fail, plus one; SOFT keeps max_concurrent."""
    regions: Literal["SEQUENTIAL", "PARALLEL"] = "SEQUENTIAL"
    """Whether a region waits for the one before it."""


class PhaseConfig(_Model):
    """One phase: where it goes, with which values, in which waves."""

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
    """Parameters of a region; they go before `parameters`."""
    account_parameters: dict[AccountId, Parameters] = Field(default={}, examples=[{"111111111111": {"MultiAZ": True}}])
    """Parameters of an account; they go before those of a region."""
    place_parameters: dict[TargetName, Parameters] = Field(
        default={}, examples=[{"111111111111/eu-west-1": {"MultiAZ": True}}]
    )
    """Parameters of an account in one region; they go before all others."""
    leave_out: tuple[Text, ...] = Field(default=(), examples=[["rotation"]])
    """Layers that this phase does not get."""
    waves: tuple[WaveConfig, ...] = (WaveConfig(name="rest", rest=True),)
    """In which order the accounts are deployed; all at once where nothing is said."""
    concurrency: OperationConfig = OperationConfig()
    """How parallel, and how many failures are borne."""


class RolloutFile(_Model):
    """Which phase goes to which accounts and regions, in which waves."""

    tooling: ToolingAccount
    """The account that rolls out, and keeps packages and releases."""
    network: SharedAccount | None = None
    """The account of the transit gateway and Direct Connect; left out where phases have their own connectivity."""
    deploy_role: RoleName = "OrganizationAccountAccessRole"
    """The role in the other accounts that bootstrap deploys with."""
    stacksets: StackSetConfig = StackSetConfig()
    """Whose roles StackSets uses, and as who it is called."""
    phases: dict[PhaseName, PhaseConfig] = Field(min_length=1)
    """The phases by name. Each is rolled out, and back, alone."""

    _path: Path = PrivateAttr(default=Path("rollout.yaml"))
    _lines: Mapping[KeyPath, int] = PrivateAttr(default_factory=dict)
    _listed: Mapping[str, tuple[str, ...]] = PrivateAttr(default_factory=dict)

    def found(self, path: Path, lines: Mapping[KeyPath, int], listed: Mapping[str, tuple[str, ...]]) -> RolloutFile:
        """Remember where the file is, the line of each value, and the accounts of phases that name a file of them."""
        self._path, self._lines, self._listed = path, lines, listed
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

    def accounts(self, phase: str) -> tuple[str, ...]:
        """The accounts that a phase names, in their order; none where it names organizational units."""
        return self._listed.get(phase) or self.phases[phase].targets.accounts


def rollout_schema() -> dict[str, Any]:
    """The schema as plain data, the same on every run."""
    made = RolloutFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "rollout.yaml of Stackferry"}
