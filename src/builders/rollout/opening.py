"""What every command begins with: rollout.yaml, the templates, the shared stacks, and so the phase as it shall be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from builders.errors import RolloutError, UsageError
from builders.rollout import bootstrap, desired as desires, file
from builders.rollout.client import Client
from builders.rollout.desired import Shared, Template
from builders.rollout.engine import world as worlds
from builders.rollout.model import Desired, Permissions, PlainStacks, World
from builders.rollout.store import Known, Store
from builders.spelling import unknown

BUCKET = "ArtifactsBucket"


@dataclass(frozen=True)
class Options:
    """How the command was called. `connect` makes the client; a rehearsal has its own."""

    file: Path
    templates: Path
    connect: Callable[..., Client]
    region: str | None = None
    """Of the stack sets, instead of what the rollout file says."""


@dataclass(frozen=True)
class Opened:
    """A phase that a command works on. `buckets` are those of the artifacts, by region."""

    rollout: file.RolloutFile
    templates: Mapping[str, Template]
    shared: Shared
    wanted: Desired
    client: Client
    store: Store
    buckets: Mapping[str, str]

    @property
    def layers(self) -> frozenset[str]:
        """Every layer that a stack set of this phase may carry."""
        return frozenset(name for name, each in self.templates.items() if each.scope == "PHASE")

    @property
    def routes(self) -> list[PlainStacks]:
        """The layers of the phase that plain stacks carry."""
        return list(self.wanted.plain.values())

    def world(self, known: Known | None = None) -> World:
        """The phase as it is."""
        known = known or self.store.known()
        return worlds.read(self.client.sets, self.client.plain, known, self.wanted.suffix, self.layers, self.routes)


def load(options: Options) -> tuple[file.RolloutFile, dict[str, Template]]:
    """Read rollout.yaml and the templates."""
    rollout = file.load(options.file)
    if options.region:
        tooling = rollout.tooling.model_copy(update={"region": options.region})
        rollout = rollout.model_copy(update={"tooling": tooling})
    return rollout, desires.templates(options.templates)


@dataclass(frozen=True)
class Door:
    """The accounts of a phase, before anything of it need stand."""

    rollout: file.RolloutFile
    templates: Mapping[str, Template]
    phase: str
    suffix: str
    client: Client

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """The active accounts of the organizational units that the phase names."""
        units = self.rollout.phases[self.phase].targets.organizational_units
        return {unit: tuple(self.client.organizations.accounts(unit)) for unit in units}


def door(options: Options, name: str) -> Door:
    """Connect to the accounts of a phase. Raises `RolloutError` for credentials of another account."""
    rollout, templates = load(options)
    if name not in rollout.phases:
        raise UsageError(unknown("phase", name, rollout.phases))
    suffix = desires.suffix(rollout, name, desires.environment(rollout, name)) or ""
    permissions = Permissions(
        service_managed=rollout.stacksets.permission_model == "SERVICE_MANAGED", call_as=rollout.stacksets.call_as
    )
    client = options.connect(
        region=rollout.home,
        permissions=permissions,
        phase=name,
        suffix=suffix,
        deploy_role=rollout.deploy_role,
    )
    check_account(client, rollout)
    return Door(rollout, templates, name, suffix, client)


def phase(options: Options, name: str) -> Opened:
    """Open a phase. Raises `RolloutError` where the shared stacks do not stand yet."""
    opened = door(options, name)
    rollout, client = opened.rollout, opened.client
    shared = bootstrap.shared(client, rollout, name)
    wanted = desires.desired(rollout, name, opened.templates, shared, opened.members)
    buckets = {region: outputs[BUCKET] for region, outputs in shared.tooling.items()}
    return Opened(
        rollout=rollout,
        templates=opened.templates,
        shared=shared,
        wanted=wanted,
        client=client,
        store=Store(client.objects(rollout.home), buckets[rollout.home], wanted.suffix),
        buckets=buckets,
    )


def check_account(client: Client, rollout: file.RolloutFile) -> None:
    """Refuse credentials of another account before anything is asked with them."""
    account = client.account()
    if account != rollout.tooling.account:
        raise RolloutError(
            f"the credentials are of account {account}, and the tooling account of {rollout.path} is "
            f"{rollout.tooling.account}; choose its profile by --profile or AWS_PROFILE"
        )
