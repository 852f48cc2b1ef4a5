"""Values of a phase judged before anything is made: each target's against the templates, and all phases' beside each
other, since they share the way to on-premises, the transit gateway and the packages."""

from __future__ import annotations

import contextlib
import graphlib
import ipaddress
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from builders import progress
from builders.building.cache import SoundValues, of_user as cache_of_user
from builders.environments import OF_A_PHASE, Entry, ParameterFile
from builders.errors import RolloutFileError
from builders.evaluate import known_by_name, named_outputs
from builders.layer_templates import Template
from builders.naming import CONNECTIVITY
from builders.rollout.config import desired_state, parameters
from builders.rollout.config.document import all_at_once, location
from builders.rollout.config.parameters import SharedOutputs, TargetGroup
from builders.rollout.config.schema import RolloutFile, SharedAccount
from builders.rollout.model import grouped
from builders.rollout.phase import PhaseConnection
from builders.scopes import Scope, in_order
from builders.template_bodies import parse_template
from builders.text import name_list

VPC = "VpcCidr"
_NAMED = 3


@dataclass(frozen=True)
class PhaseValues:
    """The values of one phase's targets, of a rollout file and its templates. `others` are those of the other phases,
    without a phase whose own files have mistakes."""

    rollout: RolloutFile
    name: str
    templates: Mapping[str, Template]
    groups: Sequence[TargetGroup]
    others: Sequence[TargetGroup]

    @classmethod
    def of(cls, connection: PhaseConnection, shared: SharedOutputs) -> PhaseValues:
        """Put the values together; `shared` may lack stacks that do not stand. Raises `RolloutFileError`."""
        rollout, name = connection.rollout, connection.phase
        if rollout.network:  # its stacks in regions that this phase does not have, or that were not read, have outputs
            stacks = [each for each in connection.templates.values() if each.scope is Scope.NETWORK]
            named = {output: known_by_name(each.layer, output) for each in stacks for output in each.outputs}
            regions = [region for phase in rollout.phases.values() for region in phase.regions]
            shared = replace(shared, network={**dict.fromkeys(regions, named), **shared.network})
        others: list[TargetGroup] = []
        for other in [phase for phase in rollout.phases if phase != name]:
            # As far as the file names its accounts; a unit stands for those that it does not.
            accounts = rollout.accounts(other) or rollout.phases[other].targets.organizational_units
            with contextlib.suppress(RolloutFileError):
                others += _groups(rollout, other, shared, accounts)
        own = desired_state.accounts_of(rollout, name, connection.members)
        left_out = rollout.phases[name].leave_out
        templates = {layer: each for layer, each in connection.templates.items() if layer not in left_out}
        return cls(rollout, name, templates, _groups(rollout, name, shared, own), others)

    @property
    def connected(self) -> list[TargetGroup]:
        """The phase's groups that the network account joins to on-premises."""
        return [group for group in self.groups if group.connected and self.rollout.network]


def _groups(rollout: RolloutFile, phase: str, shared: SharedOutputs, accounts: Iterable[str]) -> Sequence[TargetGroup]:
    sources = parameters.phase_sources(rollout, phase, shared)
    return parameters.target_groups(sources, accounts, rollout.phases[phase].regions)


class WrongValue(NamedTuple):
    """A value that cannot stay: where it stands, what is wrong, and the remedy."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        """Return one line for a person."""
        return f"{self.where}: {self.what}; {self.remedy}"


def require_sound(values: PhaseValues) -> None:
    """Raise `RolloutFileError` with a line for each mistake, as `build-templates --check` judges a file of values."""
    if found := [*map(str, address_mistakes(values))] or list(_refused(values)):
        raise all_at_once(found)


def address_mistakes(values: PhaseValues) -> list[WrongValue]:
    """The mistakes across targets and phases: ranges, and accounts that nothing is shared with."""
    return list(dict.fromkeys([*_addresses(values), *_sharing(values)]))


def unconnected(values: PhaseValues) -> Iterator[WrongValue]:
    """Yield the values that keep targets from the transit gateway which the rollout file has for them."""
    without = [group for group in values.groups if values.rollout.network and not _has_way(group)]
    for (where, given), targets in grouped(
        ((source.where(CONNECTIVITY), group.given(CONNECTIVITY)), target)
        for group in without
        if (source := parameters.origin(group.chain, CONNECTIVITY))
        for target in group.targets
    ).items():
        joined = name_list(sorted(targets), _NAMED)
        what = f"{CONNECTIVITY}={given}: the transit gateway of the network account does not join {joined}"
        yield WrongValue(where, what, "leave it out there, or write TransitGateway, unless that is wanted")


def _refused(values: PhaseValues) -> Iterator[str]:
    """Refusals of each target's values by the templates and services, and flows that have no way. Values in which an
    earlier plan found nothing are passed over while nothing changes that they are judged by."""
    of_phase = {name for name, each in values.templates.items() if each.scope in OF_A_PHASE}
    needs = {name: each.needs & of_phase for name, each in values.templates.items()}
    try:
        order = in_order(needs)
    except graphlib.CycleError:  # the plan names the layers
        return
    declared = {key for name in of_phase for key in values.templates[name].parameters}
    known = SoundValues(cache_of_user(), [values.name, *(each.body for each in values.templates.values())])
    digests = [known.digest(repr(_as_file(group, declared))) for group in values.groups]
    new = [(each, group) for each, group in zip(digests, values.groups, strict=True) if each not in known]
    unsound = set()
    if new:
        from builders.building import environment_check  # noqa: PLC0415  troposphere loads where values are judged

        bodies = {name: parse_template(each.body) for name, each in values.templates.items()}
        scopes = {name: each.scope for name, each in values.templates.items()}
        judged = environment_check.Layers(bodies, scopes, order, exporters=needs)
        with progress.bar("judging values", len(new)) as advance:
            for each, group in new:
                advance(str(group.targets[0]))
                for found in environment_check.refused_values(_as_file(group, declared), judged):
                    unsound.add(each)
                    yield f"{location(found.file, found.line, ())}: {found.message}"
    known.keep(set(digests) - unsound)


def _addresses(values: PhaseValues) -> Iterator[WrongValue]:
    """Ranges that overlap on the way to on-premises, and those that on-premises does not learn."""
    if not any(VPC in each.parameters for each in values.templates.values()):
        return
    from builders.building import environment_check  # noqa: PLC0415

    sources = dict.fromkeys(source for group in (*values.groups, *values.others) for source in group.chain)
    judged = {key for source in sources for key in source.values if "Cidr" in key or "Route" in key}
    own = [(_as_file(group, judged), group) for group in values.groups if _has_way(group)]
    others = [_as_file(group, judged) for group in values.others if _has_way(group)]
    files = [*(file for file, _ in own), *others]
    theirs = {*environment_check.overlapping_ranges(others), *environment_check.client_ranges(others)}
    for found in [*environment_check.overlapping_ranges(files), *environment_check.client_ranges(files)]:
        if found not in theirs:
            what, _, remedy = found.message.partition("; ")
            yield WrongValue(location(found.file, found.line, ()), what, remedy)
    for (at, vpc), targets in grouped(
        ((file.at(VPC), group.given(VPC)), target) for file, group in own for target in group.targets
    ).items():
        if len(targets) > 1:
            all_of_them = name_list(sorted(targets), _NAMED)
            what = f"{VPC}={vpc} is the range of {len(targets):,} VPCs behind one Direct Connect: {all_of_them}"
            tables = "region_parameters, account_parameters, place_parameters"
            yield WrongValue(location(*at, ()), what, f"give each its own in {values.rollout.path}: {tables}")
    if network := values.rollout.network:
        given = _of_owner(values, "network", network)
        for file, group in own:
            if group.connected:
                for region in dict.fromkeys(target.region for target in group.targets):
                    yield from _unannounced(given[region], file, group)


def _has_way(group: TargetGroup) -> bool:
    """Return whether a VPC hangs on Direct Connect, by either gateway."""
    return group.given(CONNECTIVITY) not in (None, "None")


def _unannounced(network: TargetGroup, file: ParameterFile, group: TargetGroup) -> Iterator[WrongValue]:
    """A range that the association with our Direct Connect gateway does not allow: on-premises never learns it."""
    vpc, source = _network(group.given(VPC) or ""), parameters.origin(network.chain, "AllowedPrefixes")
    if vpc is None or source is None or not source.values["AllowedPrefixes"]:
        return  # a gateway of somebody else's, or a value that is refused elsewhere
    prefixes = list(map(_network, source.values["AllowedPrefixes"].split(",")))
    if not any(prefix and vpc.subnet_of(prefix) for prefix in prefixes):
        listed = source.where("AllowedPrefixes")
        what = f"{VPC}={vpc} is not within AllowedPrefixes ({listed}): on-premises gets no route to it"
        yield WrongValue(location(*file.at(VPC), ()), what, "add it there, then bootstrap")


def _sharing(values: PhaseValues) -> Iterator[WrongValue]:
    """Accounts of the phase with which the transit gateway or the packages are not shared."""
    tooling, network = values.rollout.tooling, values.rollout.network
    shared = [(_of_owner(values, "tooling", tooling), "ReaderAccountIds", "read packages", values.groups)]
    if network:
        of_network = _of_owner(values, "network", network)
        shared.append((of_network, "SharePrincipals", "attach to the transit gateway", values.connected))
    for region, (owners, key, use, groups) in itertools.product(values.rollout.phases[values.name].regions, shared):
        owner = owners[region]
        source = parameters.origin(owner.chain, key)
        if source is None or ":" in source.values[key] or owner.given("OrganizationId"):
            continue  # a list with an organization or its units may mean all
        listed = [each.strip() for each in source.values[key].split(",")]
        accounts = {target.account for group in groups for target in group.targets if target.region == region}
        if missing := sorted(accounts - {*listed, owner.targets[0].account}):
            are = "is" if len(missing) == 1 else "are"
            what = f"{name_list(missing, _NAMED)} {are} not listed, and cannot {use} in {region}"
            yield WrongValue(source.where(key), what, f"add to {key}, then bootstrap")


def _of_owner(values: PhaseValues, name: str, owner: SharedAccount) -> dict[str, TargetGroup]:
    """The values of a shared account by the regions of the phase."""
    regions = values.rollout.phases[values.name].regions
    groups, _, _ = desired_state.account_values(values.rollout, name, owner, regions, SharedOutputs())
    return dict(zip(regions, groups, strict=True))


def _as_file(group: TargetGroup, declared: Collection[str]) -> ParameterFile:
    """The values of targets that have the same, as a parameter file whose entries say where they stand."""
    entries = {
        key: Entry(key, value, source.lines.get((*source.path, key)), source.name)
        for source in group.chain
        for key, value in source.values.items()
        if key in declared and not named_outputs(value)
    }
    first = group.targets[0]
    return ParameterFile(Path(str(first)), entries, [], region=first.region)


def _network(text: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(text.strip())
    except ValueError:
        return None
