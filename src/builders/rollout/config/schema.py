"""rollout.yaml as pydantic models. Descriptions and examples become the JSON schema that editors read.

The JSON schema of rollout.yaml, for editors that speak the YAML language server's protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from builders.rollout.config.fields import (
    AccountId,
    Concurrency,
    Duration,
    Parameters,
    PhaseName,
    PlaceName,
    Region,
    RoleName,
    Text,
    Tolerance,
    Unit,
)

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


class StackSets(_Model):
    """How StackSets reaches the target accounts."""

    permission_model: Literal["SELF_MANAGED", "SERVICE_MANAGED"] = "SELF_MANAGED"
    """SELF_MANAGED uses the roles that `rollout-stacksets bootstrap` makes; SERVICE_MANAGED those of AWS Organizations,
    and wants targets.organizational_units."""
    call_as: Literal["SELF", "DELEGATED_ADMIN"] = "SELF"
    """DELEGATED_ADMIN where the tooling account is a delegated administrator for service-managed stack sets."""


class Targets(_Model):
    """The accounts of a phase: exactly one of the three."""

    accounts: tuple[AccountId, ...] = Field(default=(), examples=[["111111111111"]])
    """Account ids, in quotes, in the order in which waves take them."""
    accounts_file: Text | None = Field(default=None, examples=["accounts/prod.txt"])
    """A file with one account id a line, or a JSON list of them, relative to this file."""
    organizational_units: tuple[Unit, ...] = Field(default=(), examples=[["ou-ab12-cdef3456"]])
    """The units whose accounts are meant, with those of the units below them."""


class WavePlan(_Model):
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


class Operations(_Model):
    """How one operation goes through accounts and regions. The numbers hold in each region."""

    max_concurrent: Concurrency = Field(default="1", examples=["25%", 5])
    """How many accounts at a time, or which percentage of them."""
    failure_tolerance: Tolerance = Field(default="0", examples=["10%", 2])
    """How many accounts may fail before the operation stops in a region."""
    mode: Literal["STRICT", "SOFT"] = "STRICT"
    """STRICT never has more accounts under way than may still fail, plus one; SOFT keeps max_concurrent."""
    regions: Literal["SEQUENTIAL", "PARALLEL"] = "SEQUENTIAL"
    """Whether a region waits for the one before it."""


class PhasePlan(_Model):
    """One phase: where it goes, with which values, in which waves."""

    environment: Text = Field(examples=["environments/dev.json"])
    """The parameter file of the phase, relative to this file."""
    targets: Targets
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
    place_parameters: dict[PlaceName, Parameters] = Field(
        default={}, examples=[{"111111111111/eu-west-1": {"MultiAZ": True}}]
    )
    """Parameters of an account in one region; they go before all others."""
    leave_out: tuple[Text, ...] = Field(default=(), examples=[["rotation"]])
    """Layers that this phase does not get."""
    waves: tuple[WavePlan, ...] = (WavePlan(name="rest", rest=True),)
    """In which order the accounts are deployed; all at once where nothing is said."""
    concurrency: Operations = Operations()
    """How parallel, and how many failures are borne."""


class RolloutFile(_Model):
    """Which phase goes to which accounts and regions, in which waves."""

    tooling: ToolingAccount
    """The account that rolls out, and keeps packages and releases."""
    network: SharedAccount | None = None
    """The account of the transit gateway and Direct Connect; left out where phases have their own connectivity."""
    deploy_role: RoleName = "OrganizationAccountAccessRole"
    """The role in the other accounts that bootstrap deploys with."""
    stacksets: StackSets = StackSets()
    """Whose roles StackSets uses, and as who it is called."""
    phases: dict[PhaseName, PhasePlan] = Field(min_length=1)
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
