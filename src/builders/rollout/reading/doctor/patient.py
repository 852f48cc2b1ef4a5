"""Whom the checks look at: a phase, as far as rollout.yaml and the shared stacks tell of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from builders.errors import RolloutError
from builders.rollout import desired as desires
from builders.rollout.client import Client
from builders.rollout.client.abreast import together
from builders.rollout.client.client import PLAN_ROLE
from builders.rollout.client.reach import Reach
from builders.rollout.client.refusals import AccessDenied
from builders.rollout.desired import Shared, Template, targets
from builders.rollout.file import RolloutFile
from builders.rollout.model import Permissions, Place
from builders.rollout.reading.doctor import findings
from builders.rollout.reading.doctor.findings import Finding, Severity
from builders.rollout.store import Store

BUCKET = "ArtifactsBucket"


@dataclass(frozen=True)
class Patient:
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
        shared: Shared,
        members: Mapping[str, Collection[str]] | None = None,
        store: Store | None = None,
    ) -> Patient:
        """Put together what is known; `shared` may be empty before bootstrap. Raises `RolloutFileError`."""
        environment = desires.environment(rollout, phase)
        suffix = desires.suffix(rollout, phase, environment) or ""
        packages = {value for key, value in environment.values.items() if key.endswith("PackageKey") and value}
        return cls(
            client=client,
            rollout=rollout,
            phase=phase,
            suffix=suffix,
            accounts=targets.accounts(rollout, phase, members or {}),
            templates=templates,
            permissions=targets.permissions(rollout, phase, suffix, shared),
            buckets={region: found[BUCKET] for region, found in shared.tooling.items() if BUCKET in found},
            packages=tuple(sorted(packages)),
            store=store,
        )

    @property
    def regions(self) -> tuple[str, ...]:
        """The phase's regions."""
        return self.rollout.phases[self.phase].regions

    @property
    def reach(self) -> Reach:
        """The roles of the phase's accounts."""
        own, deploy = self.rollout.tooling.account, self.rollout.deploy_role
        return Reach(own, f"{PLAN_ROLE}-{self.suffix}", f"migration-{self.phase}", deploy)

    @property
    def carried(self) -> dict[str, Template]:
        """The templates that stack sets carry into the phase's accounts."""
        left_out = self.rollout.phases[self.phase].leave_out
        return {
            layer: each for layer, each in self.templates.items() if each.scope == "PHASE" and layer not in left_out
        }

    def in_each_account(
        self, look: Callable[[Place], Finding | None], accounts: Iterable[str] = ()
    ) -> Iterator[Finding]:
        """Look at every account in the phase's first region; one that cannot be asked is a finding of its own."""

        def careful(account: str) -> Finding | None:
            try:
                return look(Place(account, self.regions[0]))
            except RolloutError as error:
                return unasked(error)

        yield from findings.together(
            sorted(together(careful, tuple(accounts) or self.accounts), key=lambda each: each[0])
        )


def unasked(error: RolloutError) -> Finding:
    """What could not be found out, with AWS's own words: the role or the permission that is missing is named there."""
    if isinstance(error, AccessDenied):
        return Finding(Severity.UNASKED, _alike(error), "allow it to whoever runs doctor, or look by hand")
    return Finding(Severity.UNASKED, str(error), "run doctor again when it answers, or look by hand")


def _alike(error: AccessDenied) -> str:
    """Without AWS's sentence, which names each account and role session, so that the same of many is told once."""
    return str(error).split("; AWS says:", maxsplit=1)[0]
