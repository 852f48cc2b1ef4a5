"""What checks say.

Whom the checks look at: a phase, as far as rollout.yaml and the shared stacks tell of it.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from builders import naming
from builders.errors import RolloutError
from builders.rollout.aws.calls import concurrently
from builders.rollout.aws.client import Client
from builders.rollout.aws.errors import AccessDenied
from builders.rollout.config import desired_state, sources
from builders.rollout.config.schema import RolloutFile
from builders.rollout.config.sources import SharedOutputs
from builders.rollout.config.templates import Template
from builders.rollout.model import Permissions, Target
from builders.rollout.state.store import Store


class Severity(enum.Enum):
    """How bad it is; an error stops a rollout."""

    ERROR = "error"
    WARNING = "warning"
    UNKNOWN = "could not ask"


@dataclass(frozen=True)
class Finding:
    """What is wrong, with the fix in one line. `where` are accounts, regions or layers; empty when it is everywhere."""

    severity: Severity
    what: str
    remedy: str
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """One check with what it found; nothing found is well."""

    name: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Diagnosis:
    """All checks of a phase, in their order."""

    phase: str
    checks: tuple[CheckResult, ...]

    @property
    def good(self) -> bool:
        """Whether no check found an error."""
        return not any(each.severity is Severity.ERROR for check in self.checks for each in check.findings)


def merged_findings(found: Iterable[tuple[str, Finding | None]]) -> Iterator[Finding]:
    """Findings of single accounts as one for all that have the same: a thousand accounts lack a role for one reason."""
    alike: dict[tuple[Severity, str, str], list[str]] = defaultdict(list)
    for where, finding in found:
        if finding is not None:
            alike[finding.severity, finding.what, finding.remedy].append(where)
    for (severity, what, remedy), targets in alike.items():
        yield Finding(severity, what, remedy, tuple(sorted(targets)))


@dataclass(frozen=True)
class CheckedPhase:
    """A phase. `buckets` are those of the artifacts by region, `packages` the keys in them that its functions have.

    `store` is None before there is one.
    """

    client: Client
    rollout: RolloutFile
    phase: str
    suffix: str
    accounts: tuple[str, ...]
    templates: Mapping[str, Template]
    permissions: Permissions
    buckets: Mapping[str, str]
    packages: tuple[str, ...] = ()
    store: Store | None = None

    @classmethod
    def of(
        cls,
        client: Client,
        rollout: RolloutFile,
        phase: str,
        templates: Mapping[str, Template],
        shared: SharedOutputs,
        members: Mapping[str, Collection[str]] | None = None,
        store: Store | None = None,
    ) -> CheckedPhase:
        """Put together what is known; `shared` may be empty before bootstrap. Raises `RolloutFileError`."""
        environment = sources.environment_file(rollout, phase)
        suffix = sources.suffix_of(rollout, phase, environment) or ""
        packages = {value for key, value in environment.values.items() if key.endswith("PackageKey") and value}
        return cls(
            client=client,
            rollout=rollout,
            phase=phase,
            suffix=suffix,
            accounts=desired_state.accounts_of(rollout, phase, members or {}),
            templates=templates,
            permissions=desired_state.permissions_of(rollout, phase, suffix, shared),
            buckets={
                region: found[naming.ARTIFACTS_BUCKET]
                for region, found in shared.tooling.items()
                if naming.ARTIFACTS_BUCKET in found
            },
            packages=tuple(sorted(packages)),
            store=store,
        )

    @property
    def regions(self) -> tuple[str, ...]:
        """The phase's regions."""
        return self.rollout.phases[self.phase].regions

    @property
    def carried(self) -> dict[str, Template]:
        """The templates that stack sets carry into the phase's accounts."""
        left_out = self.rollout.phases[self.phase].leave_out
        return {
            layer: each for layer, each in self.templates.items() if each.scope == "PHASE" and layer not in left_out
        }

    def in_each_account(
        self, look: Callable[[Target], Finding | None], accounts: Iterable[str] = ()
    ) -> Iterator[Finding]:
        """Look at every account in the phase's first region; one that cannot be asked is a finding of its own."""

        def careful(account: str) -> Finding | None:
            try:
                return look(Target(account, self.regions[0]))
            except RolloutError as error:
                return unknown_finding(error)

        yield from merged_findings(
            sorted(concurrently(careful, tuple(accounts) or self.accounts), key=lambda each: each[0])
        )


def unknown_finding(error: RolloutError) -> Finding:
    """What could not be found out, with AWS's own words: the role or the permission that is missing is named there."""
    if isinstance(error, AccessDenied):
        return Finding(Severity.UNKNOWN, _alike(error), "allow it to whoever runs doctor, or look by hand")
    return Finding(Severity.UNKNOWN, str(error), "run doctor again when it answers, or look by hand")


def _alike(error: AccessDenied) -> str:
    """Without AWS's sentence, which names each account and role session, so that the same of many is told once."""
    return str(error).split("; AWS says:", maxsplit=1)[0]
