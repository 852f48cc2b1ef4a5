"""Findings of doctor, and the phase that its checks look at."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from builders import naming
from builders.aws.calls import concurrently
from builders.aws.errors import AccessDenied
from builders.errors import RolloutError
from builders.rollout.aws.client import Client
from builders.rollout.config import desired_state, parameters
from builders.rollout.config.parameters import SharedOutputs, TargetGroup
from builders.rollout.config.schema import RolloutFile
from builders.rollout.config.templates import Template
from builders.rollout.model import Permissions, Target, Values, grouped
from builders.rollout.phase import PhaseConnection
from builders.rollout.state.store import Store
from builders.scopes import Scope


class Severity(enum.Enum):
    """The weight of a finding; an error stops a rollout."""

    ERROR = "error"
    WARNING = "warning"
    UNKNOWN = "could not ask"


@dataclass(frozen=True)
class Finding:
    """A problem and its remedy in one line. `where` are accounts, regions or layers; empty when it is everywhere."""

    severity: Severity
    what: str
    remedy: str
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """The findings of one check; none when all is well."""

    name: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Diagnosis:
    """The results of all checks of a phase, in their order."""

    phase: str
    checks: tuple[CheckResult, ...]

    @property
    def good(self) -> bool:
        """Return whether no check found an error."""
        return not any(each.severity is Severity.ERROR for check in self.checks for each in check.findings)


@dataclass(frozen=True)
class CheckedPhase:
    """A phase, as far as rollout.yaml and the shared stacks tell of it.

    `buckets` are those of the artifacts by region, `packages` the keys in them that its functions have. `store` is None
    before there is one; `network` has the outputs of `shared_network` by region, `groups` the targets with
    their parameters.
    """

    client: Client
    rollout: RolloutFile
    name: str
    suffix: str
    accounts: tuple[str, ...]
    templates: Mapping[str, Template]
    permissions: Permissions
    buckets: Mapping[str, str]
    packages: tuple[str, ...] = ()
    store: Store | None = None
    network: Mapping[str, Values] = field(default_factory=dict)
    groups: tuple[TargetGroup, ...] = ()

    @classmethod
    def of(cls, connection: PhaseConnection, shared: SharedOutputs, store: Store | None = None) -> CheckedPhase:
        """Put together what is known; `shared` may be empty before bootstrap. Raises `RolloutFileError`."""
        rollout, name, suffix = connection.rollout, connection.phase, connection.suffix
        environment = parameters.environment_file(rollout, name)
        accounts = desired_state.accounts_of(rollout, name, connection.members)
        targets = [Target(account, region) for account in accounts for region in rollout.phases[name].regions]
        sources = parameters.phase_sources(rollout, name, environment, shared)
        return cls(
            client=connection.client,
            rollout=rollout,
            name=name,
            suffix=suffix,
            accounts=accounts,
            templates=connection.templates,
            permissions=desired_state.permissions_of(rollout, name, suffix, shared),
            buckets={
                region: outputs[naming.ARTIFACTS_BUCKET]
                for region, outputs in shared.tooling.items()
                if naming.ARTIFACTS_BUCKET in outputs
            },
            packages=tuple(sorted(desired_state.package_keys(environment.values))),
            network=shared.network,
            groups=parameters.target_groups(sources, targets),
            store=store,
        )

    @property
    def regions(self) -> tuple[str, ...]:
        """The phase's regions."""
        return self.rollout.phases[self.name].regions

    @property
    def carried(self) -> dict[str, Template]:
        """The templates that stack sets carry into the phase's accounts."""
        left_out = self.rollout.phases[self.name].leave_out
        return {
            layer: each for layer, each in self.templates.items() if each.scope is Scope.PHASE and layer not in left_out
        }

    def in_each_account(
        self, look: Callable[[Target], Finding | None], accounts: Iterable[str] = (), region: str = ""
    ) -> Iterator[Finding]:
        """Look at every account, in the phase's first region unless another is given; an account that cannot be asked
        is a finding of its own."""

        def careful(account: str) -> Finding | None:
            try:
                return look(Target(account, region or self.regions[0]))
            except RolloutError as error:
                return unknown_finding(error)

        yield from merged_findings(
            sorted(concurrently(careful, tuple(accounts) or self.accounts), key=lambda it: it[0])
        )


def merged_findings(found: Iterable[tuple[str, Finding | None]]) -> Iterator[Finding]:
    """Merge equal findings of single accounts into one: a thousand accounts lack a role for one reason."""
    equal = grouped(((each.severity, each.what, each.remedy), where) for where, each in found if each is not None)
    for (severity, what, remedy), accounts in equal.items():
        yield Finding(severity, what, remedy, tuple(sorted(accounts)))


def unknown_finding(error: RolloutError) -> Finding:
    """A finding of what could not be asked, in AWS's own words: they name the role or permission that is missing."""
    if isinstance(error, AccessDenied):
        # AWS's sentence names each account and role session: without it the same of many is one finding.
        what = str(error).split("; AWS says:", maxsplit=1)[0]
        return Finding(Severity.UNKNOWN, what, "allow it to whoever runs doctor, or look by hand")
    return Finding(Severity.UNKNOWN, str(error), "run doctor again when it answers, or look by hand")
