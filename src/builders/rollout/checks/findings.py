"""Findings of doctor, and the phase that its checks look at."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from builders import naming
from builders.aws.calls import attempted
from builders.aws.errors import AccessDenied, RoleNotAssumed
from builders.errors import EvaluationError, RolloutError
from builders.layer_templates import Template
from builders.rollout.checks.values import PhaseValues
from builders.rollout.config import desired_state, parameters
from builders.rollout.config.parameters import SharedOutputs, TargetGroup
from builders.rollout.model import Permissions, Target, Values, grouped
from builders.rollout.phase import PhaseConnection
from builders.rollout.state.store import Store
from builders.scopes import Scope
from builders.template_bodies import deciding_target, evaluate_template


class Severity(enum.Enum):
    """The weight of a finding; an error stops a rollout."""

    ERROR = "error"
    WARNING = "warning"
    UNKNOWN = "could not ask"


@dataclass(frozen=True)
class Problem:
    """A problem and its remedy in one line. `where` are accounts, regions or layers; empty when it is everywhere."""

    severity: Severity
    what: str
    remedy: Annotated[str, Field(serialization_alias="fix")]
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """The findings of one check; none when all is well."""

    name: str
    findings: tuple[Problem, ...]


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
class CheckedPhase(PhaseConnection):
    """A phase, as far as rollout.yaml and the shared stacks tell of it.

    `buckets` are those of the artifacts by region, `packages` the keys in them that its functions have. `store` is None
    before there is one; `network` has the outputs of `shared_network` by region, `groups` targets of equal values.
    """

    accounts: tuple[str, ...]
    permissions: Permissions
    buckets: Mapping[str, str]
    packages: tuple[str, ...] = ()
    store: Store | None = None
    network: Mapping[str, Values] = field(default_factory=dict)
    groups: Sequence[TargetGroup] = ()
    values: PhaseValues | None = None
    shared_problem: RolloutError | None = None
    """Reason why a shared stack cannot be read."""

    @classmethod
    def of(
        cls, connection: PhaseConnection, shared: SharedOutputs, store: Store | None, problem: RolloutError | None
    ) -> CheckedPhase:
        """Put together what is known; `shared` may lack stacks, and `problem` says why. Raises `RolloutFileError`."""
        rollout, name, suffix = connection.rollout, connection.phase, connection.suffix
        bucket, values = naming.ARTIFACTS_BUCKET, PhaseValues.of(connection, shared)
        keys = desired_state.package_keys(parameters.environment_file(rollout, name).values)
        return cls(
            **vars(connection),
            accounts=desired_state.accounts_of(rollout, name, connection.members),
            permissions=desired_state.permissions_of(rollout, name, suffix, shared),
            buckets={region: each[bucket] for region, each in shared.tooling.items() if bucket in each},
            packages=tuple(f"{suffix}/{key}" for key in sorted(keys)),
            network=shared.network,
            groups=values.groups,
            values=values,
            store=store,
            shared_problem=problem,
        )

    @property
    def regions(self) -> tuple[str, ...]:
        """The phase's regions."""
        return self.rollout.phases[self.phase].regions

    @property
    def carried(self) -> dict[str, Template]:
        """The templates that stack sets carry into the phase's accounts."""
        left_out = self.rollout.phases[self.phase].leave_out
        of_phase = {layer: each for layer, each in self.templates.items() if each.scope is Scope.PHASE}
        return {layer: each for layer, each in of_phase.items() if layer not in left_out}

    @property
    def alike(self) -> list[tuple[TargetGroup, list[Target]]]:
        """The targets with the same values and templates that make the same of them: those of each region at least for
        themselves."""
        bodies = [each.body for each in self.carried.values()]
        return [
            (group, targets)
            for group in self.groups
            for targets in grouped((deciding_target(target, *bodies), target) for target in group.targets).values()
        ]

    @staticmethod
    def resources(template: Template, group: TargetGroup, target: Target) -> Mapping[str, Any]:
        """The resources that a template makes with a target's values; none where it lacks some, which apply reports."""
        try:
            return evaluate_template(template.body, parameters.stack_values(template, group), *target)[0].resources
        except EvaluationError:
            return {}

    def in_each_account(self, look: Callable[[Target], Iterator[Problem]]) -> Iterator[Problem]:
        """Look at every account, in the phase's first region."""
        return self.at_each([Target(account, self.regions[0]) for account in self.accounts], look)

    def at_each(self, targets: Iterable[Target], look: Callable[[Target], Iterator[Problem]]) -> Iterator[Problem]:
        """Look at targets, region by region; one that cannot be asked is a finding of its own."""
        by_region = grouped((target.region, target) for target in set(targets))
        for region in self.regions:
            answers = dict(attempted(lambda target: list(look(target)), by_region.get(region, ())))
            yield from merged_findings(
                (target.account, finding)
                for target, answer in sorted(answers.items(), key=lambda item: item[0])
                for finding in ([unknown_finding(answer)] if isinstance(answer, RolloutError) else answer)
            )


def merged_findings(found: Iterable[tuple[str, Problem]]) -> Iterator[Problem]:
    """Merge equal findings of single accounts into one: a thousand accounts lack a role for one reason."""
    equal = grouped(((each.severity, each.what, each.remedy), where) for where, each in found)
    for (severity, what, remedy), accounts in equal.items():
        yield Problem(severity, what, remedy, tuple(sorted(accounts)))


def unknown_finding(error: RolloutError) -> Problem:
    """A finding of what could not be asked, in AWS's own words: they name the role or permission that is missing."""
    if isinstance(error, RoleNotAssumed):  # the checks of roles have the cause
        what = "not looked at: the role that looks cannot be assumed"
        return Problem(Severity.UNKNOWN, what, "see the plan roles and the deploy roles above")
    if isinstance(error, AccessDenied):
        # AWS's sentence names each account and role session: without it the same of many is one finding.
        what = str(error).split("; AWS says:", maxsplit=1)[0]
        return Problem(Severity.UNKNOWN, what, "allow it to whoever runs doctor, or look by hand")
    return Problem(Severity.UNKNOWN, str(error), "run doctor again when it answers, or look by hand")
