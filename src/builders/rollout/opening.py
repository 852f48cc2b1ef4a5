"""What every command begins with: rollout.yaml, the templates, the shared stacks, and so the phase as it shall be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from builders.errors import RolloutError
from builders.rollout import bootstrap, desired as desires, file
from builders.rollout.client import Client
from builders.rollout.desired import Shared, Template
from builders.rollout.engine import world as worlds
from builders.rollout.model import Desired, Permissions, PlainStacks, World
from builders.rollout.store import Known, Store

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


def phase(options: Options, name: str) -> Opened:
    """Open a phase. Raises `RolloutError` where the shared stacks do not stand yet."""
    rollout, templates = load(options)
    environment = desires.environment(rollout, name)
    suffix = desires.suffix(rollout, name, environment) or ""
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
    shared = bootstrap.shared(client, rollout, name)
    members = {unit: client.organizations.accounts(unit) for unit in rollout.phases[name].targets.organizational_units}
    wanted = desires.desired(rollout, name, templates, shared, members)
    buckets = {region: outputs[BUCKET] for region, outputs in shared.tooling.items()}
    home = rollout.home
    if home not in buckets:
        raise RolloutError(f"{home} has no bucket of artifacts yet; run `rollout-stacksets bootstrap` first")
    return Opened(
        rollout=rollout,
        templates=templates,
        shared=shared,
        wanted=wanted,
        client=client,
        store=Store(client.objects(home), buckets[home], wanted.suffix),
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
