"""Holds every parameter file against all layers, and those of a phase as they would be deployed with it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from builders import environments, naming, reachability, resource_types
from builders.building import packages
from builders.catalog import Assembly
from builders.environments import ParameterFile
from builders.errors import EvaluationError, ParameterFileError, UsageError
from builders.evaluate import Evaluated, evaluate
from builders.findings import Finding
from builders.layers import clients
from builders.package import Function
from builders.parameter_validation import (
    assignment,
    declarations,
    missing_value,
    parameters_in,
    refused_properties,
    rule_parameters,
    unknown_parameter,
    wrong_value,
)
from builders.reachability import flows
from builders.regions import known_regions, zone_id_prefix

VPC = re.compile("VpcCidr$")
ON_PREMISES = re.compile("OnPremisesCidr")
"""The beginning of the keys of on-premises ranges; one may hold several ranges with commas between them."""
CLIENT = re.compile(f"({clients.APPLICATION}|{clients.OPERATOR})Cidr[0-9]+$")
ZONE_ID = re.compile("ZoneId[0-9]$")
ANY_RANGE = re.compile("[A-Za-z]+Cidr[0-9]*$")


def check(folder: Path, made: Assembly, functions: Sequence[Function] = ()) -> list[Finding]:
    """Everything that is wrong with the parameter files of `folder`. Raises `UsageError` when there is no folder.

    `functions` are those whose packages the files may name.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder} here; run from the project's root or say --environments-dir")
    findings: list[Finding] = []
    files: list[ParameterFile] = []
    for path in sorted(folder.glob("*.json")):
        try:
            files.append(environments.read(path))
        except ParameterFileError as error:
            line = error.__cause__.lineno if isinstance(error.__cause__, JSONDecodeError) else None
            findings.append(Finding("parameter-file", str(error), str(path), line))
    for file in files:
        findings += [*file.findings, *_check_file(file, made)]
    ranges = [*overlapping_ranges(files), *client_ranges(files)]
    return [*findings, *ranges, *packages.findings(functions, made, files)]


def _check_file(file: ParameterFile, made: Assembly) -> Iterator[Finding]:
    declared = declarations({layer: template["Parameters"] for layer, template in sorted(made.templates.items())})
    unusable = set()
    for key, entry in file.entries.items():
        unknown = unknown_parameter(key, declared)
        if unknown and not made.unbuilt:  # a layer that was not built may declare the key
            yield Finding("unknown-parameter", unknown, str(file.path), entry.line)
        for mistake in wrong_value(key, entry.value, declared.get(key, {})):
            unusable.add(key)
            yield Finding("parameter-value", mistake, str(file.path), entry.line)
    for found in _ranges(file, ANY_RANGE):
        if str(found.network) != file.entries[found.key].value:
            unusable.add(found.key)
            message = f"{found.key}={file.entries[found.key].value} is an address within a range; write {found.network}"
            yield Finding("parameter-value", message, str(file.path), found.line)
    yield from _zones(file, unusable)
    for key, by_layer in declared.items():
        of_file = {layer: found for layer, found in by_layer.items() if made.scopes[layer] in file.scopes}
        missing = None if key in file.entries else missing_value(key, of_file, f'add "{key}=..."')
        if missing:
            unusable.add(key)
            yield Finding("missing-parameter", missing, str(file.path))
    yield from _foreign_boundary(file)
    yield from _refusals(file, made, unusable)


def _zones(file: ParameterFile, unusable: Collection[str]) -> Iterator[Finding]:
    """Zone ids that no region has, and those of another region than the file's first one."""
    # The isolated partitions, whose ids are not public, are left out.
    prefixes = {zone_id_prefix(region): region for region in known_regions() if "iso" not in region}
    first = None
    for entry in file.entries.values():
        if not ZONE_ID.match(entry.key) or not entry.value or entry.key in unusable:
            continue
        region = prefixes.get(entry.value.partition("-")[0])
        first = first or (entry, region)
        if region is None:
            message = f"{entry.key}={entry.value} is a zone of no region; see aws ec2 describe-availability-zones"
            yield Finding("parameter-value", message, str(file.path), entry.line)
        elif region != first[1]:
            other = f"{first[0].key}={first[0].value} in {first[1]}" if first[1] else f"{first[0].key} in none"
            message = f"{entry.key}={entry.value} is a zone of {region}, and {other}; choose zones of one region"
            yield Finding("parameter-value", message, str(file.path), entry.line)


def _foreign_boundary(file: ParameterFile) -> Iterator[Finding]:
    """The boundary that `account` makes is called by the suffix; a template cannot compare the two."""
    boundary, suffix = file.entries.get("PermissionsBoundary"), file.values.get(naming.SUFFIX)
    if boundary and suffix and boundary.value.startswith(f"{naming.PERMISSIONS_BOUNDARY}-"):
        own = naming.with_suffix(naming.PERMISSIONS_BOUNDARY, suffix)
        if boundary.value != own:
            message = f"PermissionsBoundary={boundary.value} is another environment's; write {own}"
            yield Finding("parameter-value", message, str(file.path), boundary.line)


def _refusals(file: ParameterFile, made: Assembly, unusable: Collection[str]) -> Iterator[Finding]:
    """Evaluate the layers that are deployed with a file, in their order, and follow the flows through their network.

    `unusable` names parameters that are missing or wrong. A layer that takes one of them is not evaluated, since the
    answer would only repeat that; nor is a layer that imports from one that was not or cannot be evaluated.
    """
    exports: dict[str, Any] = {}
    evaluated: dict[str, Evaluated] = {}
    for layer in [name for name in made.order if made.scopes[name] in file.scopes]:
        template = made.templates[layer]
        exporters = {export.layer for export in made.stacks[layer].imports}
        if not template["Parameters"].keys().isdisjoint(unusable) or not exporters <= evaluated.keys():
            continue
        try:
            evaluated[layer] = evaluate(template, file.values, imports=exports)
        except EvaluationError as error:
            yield Finding("template-refuses", f"{layer}: {error}", str(file.path))
            continue
        exports |= evaluated[layer].exports
        for sentence in evaluated[layer].failed_rules:
            yield _refused(file, layer, template, "template-rule", sentence, rule_parameters(template, sentence))
        for sentence, keys in refused_properties(template, file.values):
            yield _refused(file, layer, template, "service-refuses", f"AWS answers {sentence!r}", keys)
        for sentence, keys in _against_schema(evaluated[layer], template):
            yield _refused(file, layer, template, "schema-refuses", sentence, keys)
    if evaluated.keys() >= set(reachability.LAYERS):
        demands = flows.demands({layer: made.templates[layer] for layer in evaluated}, file.values)
        for found in reachability.check(evaluated, demands):
            yield Finding("unreachable", f"{found.flow}: {found.missing} at {found.where}", str(file.path))


def _against_schema(evaluated: Evaluated, template: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Hold properties that come from parameters against the registry's schema, which a declaration may be wider than.

    A value with `${` in it is one that only AWS knows (builders.evaluate).
    """
    for name, body in evaluated.resources.items():
        kind = resource_types.load(body["Type"])
        if kind is None:  # a custom resource
            continue
        written = template["Resources"][name].get("Properties", {})
        origins = {each: parameters_in(template, node) for each, node in written.items()}
        # What has nothing of a parameter is the template's own, which cfn-lint judges.
        typed = kind.coerce({each: body["Properties"][each] for each in body.get("Properties", {}) if origins[each]})
        for violation in kind.violations(typed, but=lambda error: "${" in str(error.instance)):
            if violation.name:
                yield f"CloudFormation refuses {name}: {violation.sentence}", origins[violation.name]


def _refused(
    file: ParameterFile, layer: str, template: Mapping[str, Any], code: str, sentence: str, keys: Sequence[str]
) -> Finding:
    """A finding with the entries of the file among the parameters that a refusal comes from."""
    entries = [file.entries[key] for key in keys if key in file.entries]
    given = ", ".join(assignment(entry.key, entry.value, template["Parameters"][entry.key]) for entry in entries)
    message = f"{layer}: {sentence}" + (f" (given: {given})" if given else "")
    return Finding(code, message, str(file.path), min((entry.line for entry in entries), default=None))


@dataclass(frozen=True)
class _Range:
    file: str
    line: int
    key: str
    network: ipaddress.IPv4Network

    def __str__(self) -> str:
        return f"{self.key}={self.network}"


def overlapping_ranges(files: Sequence[ParameterFile]) -> Iterator[Finding]:
    """Ranges that overlap: VPCs with each other and with on-premises in any file, on-premises ranges within a file.

    The phases share Direct Connect, so their VPCs must differ from each other and from every on-premises range. The
    `Rules` of a template cannot compute that.
    """
    vpcs = [found for file in files for found in _ranges(file, VPC)]
    on_premises = [found for file in files for found in _ranges(file, ON_PREMISES)]
    for first, second in combinations(vpcs, 2):
        if first.network.overlaps(second.network):
            yield _finding(second, first, "two phases behind one Direct Connect need ranges apart")
    seen = set()
    for vpc, remote in sorted(product(vpcs, on_premises), key=lambda pair: pair[0].file != pair[1].file):
        # Files repeat the ranges of the premises: each is reported once, from the VPC's own file where it is there.
        if vpc.network.overlaps(remote.network) and (vpc, remote.network) not in seen:
            seen.add((vpc, remote.network))
            yield _finding(vpc, remote, "packets for that part would never leave the VPC; choose another range")
    for first, second in combinations(on_premises, 2):
        if first.file == second.file and first.network.overlaps(second.network):
            yield _finding(second, first, "one of them is enough, or one is mistyped")


def client_ranges(files: Sequence[ParameterFile]) -> Iterator[Finding]:
    """Ranges of clients that lie in a VPC, overlap each other, or ask for a route that on-premises has already."""
    vpcs = [found for file in files for found in _ranges(file, VPC)]
    for file in files:
        given = list(_ranges(file, CLIENT))
        for client, vpc in product(given, vpcs):
            if client.network.overlaps(vpc.network):
                own = "a client comes from outside the VPC; hosts in it are let in by their security group"
                why = own if vpc.file == client.file else "no phase reaches another, so none of it can be a client"
                yield _finding(client, vpc, why)
        for first, second in combinations(given, 2):
            if first.network.overlaps(second.network):
                yield _finding(second, first, "one of them is enough, or one is mistyped")
        for client, premises in product(given, _ranges(file, ON_PREMISES)):
            route = file.entries.get(clients.route_parameter(client.key))
            if route and route.value == "true" and client.network.subnet_of(premises.network):
                message = f"{client} lies in {premises}, which has a route; leave {route.key} out"
                yield Finding("client-route", message, str(file.path), route.line)


def _ranges(file: ParameterFile, keys: re.Pattern[str]) -> Iterator[_Range]:
    for entry in file.entries.values():
        if keys.match(entry.key):
            for text in entry.value.split(","):
                network = _network(text.strip())
                if network is not None:
                    yield _Range(str(file.path), entry.line, entry.key, network)


def _network(text: str) -> ipaddress.IPv4Network | None:
    """The range, or None for a text that is not one: that is a finding about the value already."""
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None


def _finding(one: _Range, other: _Range, why: str) -> Finding:
    where = f"line {other.line}" if other.file == one.file else f"{other.file} line {other.line}"
    return Finding("overlapping-ranges", f"{one} overlaps {other} of {where}; {why}", one.file, one.line)
