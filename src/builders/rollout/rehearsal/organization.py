"""A pretend organization, for phases that name organizational units: the units and who is in them are made up.

Nobody can tell from a rollout file how many accounts a unit has, and ids of units are AWS's to give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builders.rollout.desired.parameter_files import read
from builders.rollout.file import PhasePlan, RolloutFile, SharedAccount, Targets
from builders.rollout.rehearsal.accounts import Accounts

IN_A_UNIT = 2
"""How many accounts a unit has at least, where nothing else is said."""

MANAGEMENT = "7" * 12
"""The management account, where the tooling account is a delegated administrator."""

STACKSETS = "member.org.stacksets.cloudformation.amazonaws.com"

READERS = {"tooling": "ReaderAccountIds", "network": "SharePrincipals"}
"""The parameters that name the accounts to which the shared ones give something."""

Members = Mapping[str, Sequence[str]]


def members(rollout: RolloutFile, at_least: int | None) -> dict[str, list[str]]:
    """The accounts of each unit: those that the file names for a phase are in its first unit, the rest is made up."""
    found: dict[str, list[str]] = {}
    for number, plan in enumerate(rollout.phases.values(), 1):
        for place, unit in enumerate(plan.targets.organizational_units, 1):
            if unit not in found:
                named = _named(plan) if place == 1 else []
                made_up = [f"6{number:03}{place:03}{each:05}" for each in range(1, (at_least or IN_A_UNIT) + 1)]
                found[unit] = sorted([*named, *made_up[len(named) :]])
    return found


def _named(plan: PhasePlan) -> list[str]:
    waves = [account for wave in plan.waves for account in wave.accounts]
    places = [place.partition("/")[0] for place in plan.place_parameters]
    return list(dict.fromkeys([*waves, *plan.account_parameters, *places]))


def made(accounts: Accounts, rollout: RolloutFile, units: Members) -> tuple[RolloutFile, str]:
    """Make the organization. Return the file with its units, and the account that owns the stack sets."""
    tooling = rollout.tooling.account
    delegated = rollout.stacksets.call_as == "DELEGATED_ADMIN"
    management = MANAGEMENT if delegated else tooling
    api = accounts.api("organizations", management)
    api.create_organization(FeatureSet="ALL")
    root = str(api.list_roots()["Roots"][0]["Id"])
    for account in sorted({tooling, *([rollout.network.account] if rollout.network else [])} - {management}):
        _admitted(accounts, management, account)
    ids: dict[str, str] = {}
    for number, (unit, inside) in enumerate(units.items(), 1):
        answer = api.create_organizational_unit(ParentId=root, Name=f"unit-{number}")
        ids[unit] = answer["OrganizationalUnit"]["Id"]
        for account in inside:
            _admitted(accounts, management, account)
            api.move_account(AccountId=account, SourceParentId=root, DestinationParentId=ids[unit])
    accounts.api("cloudformation", management).activate_organizations_access()
    if delegated:
        api.register_delegated_administrator(AccountId=tooling, ServicePrincipal=STACKSETS)
    return _with_units(rollout, ids, sorted({each for inside in units.values() for each in inside})), management


def _admitted(accounts: Accounts, management: str, account: str) -> None:
    """Let an account of a chosen number join."""
    target = {"Id": account, "Type": "ACCOUNT"}
    handshake = accounts.api("organizations", management).invite_account_to_organization(Target=target)["Handshake"]
    accounts.api("organizations", account).accept_handshake(HandshakeId=handshake["Id"])


def _with_units(rollout: RolloutFile, ids: Mapping[str, str], inside: Sequence[str]) -> RolloutFile:
    """The file with units that are there, and with their accounts where the file names an organization of its own."""
    phases = {}
    for name, plan in rollout.phases.items():
        units = tuple(ids[unit] for unit in plan.targets.organizational_units)
        phases[name] = plan.model_copy(update={"targets": Targets(organizational_units=units)}) if units else plan
    update: dict[str, object] = {"phases": phases}
    regions = list(dict.fromkeys([rollout.home, *(region for plan in phases.values() for region in plan.regions)]))
    for name, parameter in READERS.items():
        owner: SharedAccount | None = getattr(rollout, name)
        if owner is not None:
            update[name] = _naming(rollout, owner, parameter, inside, regions)
    return rollout.model_copy(update=update)


def _naming(
    rollout: RolloutFile, owner: SharedAccount, parameter: str, inside: Sequence[str], regions: Sequence[str]
) -> SharedAccount:
    written = read(rollout, owner.parameters).values
    own = {}
    for region in regions:
        given = {**written, **owner.region_parameters.get(region, {})}.get(parameter, "")
        accounts = [each for each in given.split(",") if each.isdigit() and each not in inside]
        own[region] = {**owner.region_parameters.get(region, {}), parameter: ",".join([*accounts, *inside])}
    return owner.model_copy(update={"region_parameters": own})
