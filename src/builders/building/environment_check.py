"""Holds every parameter file against all layers, and those of a phase as they would be deployed with it."""

from __future__ import annotations

import functools
import ipaddress
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import combinations, product
from json import JSONDecodeError
from pathlib import Path
from typing import Any, NamedTuple

from builders import environments, naming, reachability, resource_types
from builders.building import packages
from builders.catalog import Assembly
from builders.environments import ParameterFile
from builders.errors import EvaluationError, ParameterFileError, UsageError
from builders.evaluate import REGION, Evaluated, evaluate, known_by_name
from builders.findings import Finding
from builders.intrinsics import only_aws_knows
from builders.layers import clients
from builders.package import Function
from builders.parameter_validation import (
    Declarations,
    assignment,
    declarations,
    missing_value,
    parameters_in,
    refused_properties,
    rule_parameters,
    unknown_parameter,
    wrong_value,
)
from builders.policy_documents import allows, as_list, statements
from builders.reachability import flows
from builders.regions import known_regions, zone_id_prefix
from builders.resource_types import Violation
from builders.scopes import Scope
from builders.text import name_list

VPC = re.compile("VpcCidr$")
ON_PREMISES = re.compile("OnPremisesCidr")
"""The beginning of the keys of on-premises ranges; one may hold several ranges with commas between them."""
CLIENT = re.compile(f"({clients.APPLICATION}|{clients.OPERATOR})Cidr[0-9]+$")
ZONE_ID = re.compile("ZoneId[0-9]$")
SECRETS = "SourceSecretArns"
ANY_RANGE = re.compile("[A-Za-z]+Cidr[0-9]*$")

_ANSWERS_KEPT = 8
"""Answers kept of each layer: regions and settings that some targets share come again, ranges of their own do not."""


class _Judged(NamedTuple):
    """A layer evaluated, and what is refused in it: the rule of ours that finds it, the sentence, the parameters."""

    evaluated: Evaluated
    refused: list[tuple[str, str, list[str]]]


@dataclass(frozen=True)
class Layers:
    """The templates that values are held against, as plain data, with their scopes, in the order of deployment.

    `exporters` are the layers whose exports each one imports; with `complete` no layer is missing.
    """

    templates: Mapping[str, Mapping[str, Any]]
    scopes: Mapping[str, Scope]
    order: Sequence[str]
    exporters: Mapping[str, Collection[str]]
    complete: bool = True
    _judged: dict[str, dict[tuple[str, ...], _Judged]] = field(default_factory=dict, compare=False, repr=False)
    """The last answers by layer: of a thousand targets with ranges of their own all would be hundreds of megabytes."""

    _declared_in: dict[frozenset[Scope], Declarations] = field(default_factory=dict, compare=False, repr=False)
    _mistakes: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, made: Assembly) -> Layers:
        """Take the layers as they were built."""
        exporters = {name: {export.layer for export in stack.imports} for name, stack in made.stacks.items()}
        return cls(made.templates, made.scopes, made.order, exporters, not made.unbuilt)

    def judged(self, layer: str, values: Mapping[str, str], exports: Mapping[str, Any], region: str) -> _Judged:
        """Evaluate a layer, once for all that are deployed alike. Raises `EvaluationError`."""
        template, known = self.templates[layer], self._judged.setdefault(layer, {})
        own = {key: values[key] for key in template["Parameters"] if key in values}
        question = (region, json.dumps(own, sort_keys=True), json.dumps(exports, sort_keys=True))
        answer = known.pop(question, None)
        if answer is None:
            evaluated = evaluate(template, own, imports=exports, region=region)
            refused = [
                *(("template-rule", rule, rule_parameters(template, rule)) for rule in evaluated.failed_rules),
                *(
                    ("service-refuses", f"AWS answers {sentence!r}", keys)
                    for sentence, keys in refused_properties(template, own)
                ),
                *(("schema-refuses", sentence, keys) for sentence, keys in self._against_schema(layer, evaluated)),
            ]
            answer = _Judged(evaluated, refused)
        known[question] = answer  # as the newest
        if len(known) > _ANSWERS_KEPT:
            del known[next(iter(known))]
        return answer

    def _against_schema(self, layer: str, evaluated: Evaluated) -> Iterator[tuple[str, list[str]]]:
        """Hold properties that come from parameters against the registry's schema, which a declaration may be wider
        than.

        What only AWS knows is not judged.
        """
        origins = self._origins[layer]
        for name, body in evaluated.resources.items():
            # What has nothing of a parameter is the template's own, which cfn-lint judges.
            for each, value in body.get("Properties", {}).items():
                if keys := origins[name].get(each):
                    for violation in _violations(body["Type"], json.dumps({each: value})):
                        if violation.name:
                            yield f"CloudFormation refuses {name}: {violation.sentence}", keys

    @functools.cached_property
    def _origins(self) -> dict[str, dict[str, dict[str, list[str]]]]:
        """The parameters that each property of each resource of each layer refers to."""
        return {
            layer: {
                name: {each: parameters_in(template, node) for each, node in body.get("Properties", {}).items()}
                for name, body in template["Resources"].items()
            }
            for layer, template in self.templates.items()
        }

    @functools.cached_property
    def declared(self) -> Declarations:
        """The declarations of each parameter in all layers."""
        return declarations({layer: template["Parameters"] for layer, template in sorted(self.templates.items())})

    def declared_in(self, scopes: Collection[Scope]) -> Declarations:
        """The declarations of each parameter in the layers of some scopes."""
        kept = self._declared_in.get(frozenset(scopes))
        if kept is None:
            kept = self._declared_in[frozenset(scopes)] = {
                key: {layer: found for layer, found in by_layer.items() if self.scopes[layer] in scopes}
                for key, by_layer in self.declared.items()
            }
        return kept

    def wrong_value(self, key: str, value: str) -> tuple[str, ...]:
        """The mistakes of a value, looked for once: of a thousand targets most have the same."""
        if (key, value) not in self._mistakes:
            self._mistakes[key, value] = tuple(wrong_value(key, value, self.declared.get(key, {})))
        return self._mistakes[key, value]

    def outputs_elsewhere(self, file: ParameterFile) -> dict[str, str]:
        """The layer that brings each parameter which a phase's file leaves out: an output of the tooling or the network
        account, which a rollout hands on, and a person by hand.

        The network account brings its own to those that its transit gateway connects.
        """
        if Scope.PHASE not in file.scopes:
            return {}
        scopes = {Scope.TOOLING, Scope.TOOLING_PER_PHASE}
        if file.values.get(naming.CONNECTIVITY) == naming.TRANSIT_GATEWAY:
            scopes.add(Scope.NETWORK)
        taken = {
            key
            for name, each in self.templates.items()
            if self.scopes[name] in file.scopes
            for key in each["Parameters"]
        }
        return {
            output: name
            for name in self.order
            if self.scopes[name] in scopes
            for output in self.templates[name].get("Outputs", {})
            if output in taken and output not in file.entries
        }


def named_values(folder: Path, made: Assembly) -> str:
    """Say in one line which values `check` takes as known, since stacks elsewhere bring them; empty for none."""
    layers = Layers.of(made)
    alike: dict[str, list[str]] = {}
    for file in _read(folder)[0]:
        outputs = [f"{key} of {layer}" for key, layer in layers.outputs_elsewhere(file).items()]
        if outputs:
            alike.setdefault(name_list(outputs), []).append(str(file.path))
    if not alike:
        return ""
    known = "; ".join(f"{outputs} ({name_list(files)})" for outputs, files in alike.items())
    return (
        f"outputs of other stacks, taken as known: {known}; a rollout hands them on, by hand write-outputs --into does"
    )


def check(folder: Path, made: Assembly, functions: Sequence[Function] = ()) -> list[Finding]:
    """Everything that is wrong with the parameter files of `folder`. Raises `UsageError` when there is no folder.

    `functions` are those whose packages the files may name.
    """
    files, findings = _read(folder)
    return [*findings, *judged(files, Layers.of(made)), *packages.findings(functions, made, files)]


def judged(files: Sequence[ParameterFile], layers: Layers) -> Iterator[Finding]:
    """Yield everything that is wrong with values that are deployed beside each other."""
    for file in files:
        yield from file.findings
        yield from refused_values(file, layers)
    yield from overlapping_ranges(files)
    yield from client_ranges(files)


def _read(folder: Path) -> tuple[list[ParameterFile], list[Finding]]:
    """The parameter files of a folder, and those that cannot be read."""
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
    return files, findings


def refused_values(file: ParameterFile, layers: Layers) -> Iterator[Finding]:
    """Yield everything that is wrong with the values of one file, or of one target."""
    elsewhere = layers.outputs_elsewhere(file)
    unusable = set()
    for key, entry in file.entries.items():
        unknown = unknown_parameter(key, layers.declared)
        if unknown and layers.complete:  # a layer that was not built may declare the key
            yield Finding("unknown-parameter", unknown, *file.at(key))
        for mistake in layers.wrong_value(key, entry.value):
            unusable.add(key)
            yield Finding("parameter-value", mistake, *file.at(key))
    for found in _ranges(file, ANY_RANGE):
        if str(found.network) != file.entries[found.key].value:
            unusable.add(found.key)
            message = f"{found.key}={file.entries[found.key].value} is an address within a range; write {found.network}"
            yield Finding("parameter-value", message, found.file, found.line)
    yield from _zones(file, unusable)
    for key, by_layer in layers.declared_in(file.scopes).items():
        missing = None if key in file.entries or key in elsewhere else missing_value(key, by_layer, f'add "{key}=..."')
        if missing:
            unusable.add(key)
            yield Finding("missing-parameter", missing, str(file.path))
    suffix = file.values.get(naming.SUFFIX)
    if suffix in naming.RESERVED_SUFFIXES:
        message = f"{naming.SUFFIX}={suffix} is {naming.IS_RESERVED}"
        yield Finding("parameter-value", message, *file.at(naming.SUFFIX))
    yield from _foreign_boundary(file)
    yield from _denied_secrets(file)
    yield from _refusals(file, layers, unusable, elsewhere)


def _zones(file: ParameterFile, unusable: Collection[str]) -> Iterator[Finding]:
    """Zone ids that no region has, and those of another region than the file's first one."""
    # The isolated partitions, whose ids are not public, are left out.
    prefixes = {zone_id_prefix(region): region for region in known_regions() if "iso" not in region}
    first: tuple[str, str | None] | None = (file.region, file.region) if file.region else None
    for entry in file.entries.values():
        if not ZONE_ID.match(entry.key) or not entry.value or entry.key in unusable:
            continue
        region = prefixes.get(entry.value.partition("-")[0])
        first = first or (f"{entry.key}={entry.value}", region)
        if region is None:
            message = f"{entry.key}={entry.value} is a zone of no region; see aws ec2 describe-availability-zones"
            yield Finding("parameter-value", message, *file.at(entry.key))
        elif region != first[1]:
            other = f"{first[0]} in {first[1] or 'none'}" if not file.region else f"it is deployed in {file.region}"
            message = f"{entry.key}={entry.value} is a zone of {region}, and {other}; choose zones of one region"
            yield Finding("parameter-value", message, *file.at(entry.key))


def _foreign_boundary(file: ParameterFile) -> Iterator[Finding]:
    """The boundary that `account` makes is called by the suffix; a template cannot compare the two."""
    boundary, suffix = file.entries.get("PermissionsBoundary"), file.values.get(naming.SUFFIX)
    if boundary and suffix and boundary.value.startswith(f"{naming.PERMISSIONS_BOUNDARY}-"):
        own = naming.with_suffix(naming.PERMISSIONS_BOUNDARY, suffix)
        if boundary.value != own:
            message = f"PermissionsBoundary={boundary.value} is another environment's; write {own}"
            yield Finding("parameter-value", message, *file.at(boundary.key))


def _denied_secrets(file: ParameterFile) -> Iterator[Finding]:
    """Secrets that the boundary which `account` makes denies to the phase's roles, each behind a stack that fails late.

    In the Resource of a policy `*` and `?` stand for any characters (IAM user guide, "IAM JSON policy elements:
    Resource").
    """
    if not file.values.get("PermissionsBoundary", "").startswith(f"{naming.PERMISSIONS_BOUNDARY}-"):
        return
    listed = [each for each in file.values.get(SECRETS, "").split(",") if each]
    for entry in file.entries.values():
        denied = listed and not any(fnmatchcase(entry.value, each) for each in listed)
        if entry.key.endswith("SecretArn") and entry.value and denied:
            message = f"{entry.key}={entry.value} is not in {SECRETS}: the boundary denies it to the phase's roles"
            yield Finding("parameter-value", f"{message}; add it there, then deploy account", *file.at(entry.key))


def _refusals(
    file: ParameterFile, layers: Layers, unusable: Collection[str], elsewhere: Mapping[str, str]
) -> Iterator[Finding]:
    """Evaluate the layers that are deployed with a file, in their order, and follow the flows through their network.

    `unusable` names parameters that are missing or wrong. A layer that takes one of them is not evaluated, since the
    answer would only repeat that; nor is a layer that imports from one that was not or cannot be evaluated.
    `elsewhere` are outputs of other stacks, which are known by their names.
    """
    exports: dict[str, Any] = {}
    evaluated: dict[str, Evaluated] = {}
    values = {**{key: known_by_name(layer, key) for key, layer in elsewhere.items()}, **file.values}
    region = file.region or REGION
    for layer in [name for name in layers.order if layers.scopes[name] in file.scopes]:
        template = layers.templates[layer]
        if not template["Parameters"].keys().isdisjoint(unusable) or not evaluated.keys() >= set(
            layers.exporters[layer]
        ):
            continue
        try:
            evaluated[layer], refused = layers.judged(layer, values, exports, region)
        except EvaluationError as error:
            yield Finding("template-refuses", f"{layer}: {error}", str(file.path))
            continue
        exports |= evaluated[layer].exports
        for code, sentence, keys in refused:
            yield _refused(file, layer, template, code, sentence, keys)
    if evaluated.keys() >= set(reachability.LAYERS):
        demands = flows.demands({layer: layers.templates[layer] for layer in evaluated}, values, region=region)
        for found in reachability.check(evaluated, demands):
            yield Finding("unreachable", f"{found.flow}: {found.missing} at {found.where}", str(file.path))
    yield from _beyond_boundary(file, evaluated)


def _beyond_boundary(file: ParameterFile, evaluated: Mapping[str, Evaluated]) -> Iterator[Finding]:
    """Actions of roles that the boundary of the phase allows none: `account` makes it for the roles of our layers."""
    entry, account = file.entries.get("PermissionsBoundary"), evaluated.get("account")
    if entry is None or account is None:
        return
    policies = [body["Properties"] for body in account.resources.values() if body["Type"] == "AWS::IAM::ManagedPolicy"]
    within = [
        statement
        for policy in policies
        if policy.get("ManagedPolicyName") == entry.value
        for statement in statements(policy["PolicyDocument"])
    ]
    for layer, found in evaluated.items():
        for name, body in found.resources.items():
            properties = body.get("Properties", {})
            if not within or not str(properties.get("PermissionsBoundary")).endswith(f"/{entry.value}"):
                continue
            own = [each for policy in properties.get("Policies", ()) for each in statements(policy["PolicyDocument"])]
            actions = {
                action for each in own if each.get("Effect") == "Allow" for action in as_list(each.get("Action"))
            }
            beyond = [each for each in sorted(actions) if not any(allows(statement, each) for statement in within)]
            if beyond:
                message = (
                    f"{layer}: {name} may {name_list(beyond)}, and no role may by "
                    f"PermissionsBoundary={entry.value}; name a policy of your own there"
                )
                yield Finding("beyond-boundary", message, str(file.path), entry.line)


@functools.lru_cache(maxsize=4096)
def _violations(type_name: str, properties: str) -> list[Violation]:
    """The violations of a property, as JSON: of a thousand targets most have the same."""
    kind = resource_types.load(type_name)
    if kind is None:  # a custom resource
        return []
    return kind.violations(kind.coerce(json.loads(properties)), but=lambda error: only_aws_knows(error.instance))


def _refused(
    file: ParameterFile, layer: str, template: Mapping[str, Any], code: str, sentence: str, keys: Sequence[str]
) -> Finding:
    """A finding with the entries of the file among the parameters that a refusal comes from."""
    entries = [file.entries[key] for key in keys if key in file.entries]
    given = ", ".join(assignment(entry.key, entry.value, template["Parameters"][entry.key]) for entry in entries)
    message = f"{layer}: {sentence}" + (f" (given: {given})" if given else "")
    where = min((file.at(entry.key) for entry in entries), key=lambda at: at[1] or 0, default=(str(file.path), None))
    return Finding(code, message, *where)


@dataclass(frozen=True)
class _Range:
    file: str
    line: int | None
    key: str
    network: ipaddress.IPv4Network

    def __str__(self) -> str:
        return f"{self.key}={self.network}"


def overlapping_ranges(files: Sequence[ParameterFile]) -> Iterator[Finding]:
    """Ranges that overlap: VPCs with each other and with on-premises in any file, on-premises ranges within a file.

    The phases share Direct Connect, so their VPCs must differ from each other and from every on-premises range. The
    `Rules` of a template cannot compute that.
    """
    # The values of many targets stand in the same line.
    vpcs = list(dict.fromkeys(found for file in files for found in _ranges(file, VPC)))
    on_premises = list(dict.fromkeys(found for file in files for found in _ranges(file, ON_PREMISES)))
    for first, second in _overlapping(vpcs):
        yield _finding(second, first, "two phases behind one Direct Connect need ranges that do not overlap")
    seen = set()
    for vpc, remote in sorted(product(vpcs, on_premises), key=lambda pair: pair[0].file != pair[1].file):
        # Files repeat the ranges of the premises: each is reported once, from the VPC's own file where it is there.
        if vpc.network.overlaps(remote.network) and (vpc, remote.network) not in seen:
            seen.add((vpc, remote.network))
            yield _finding(vpc, remote, "packets for that part would never leave the VPC; choose another range")
    for first, second in _overlapping(on_premises):
        if first.file == second.file:
            yield _finding(second, first, "one of them is enough, or one is mistyped")


def _overlapping(ranges: Sequence[_Range]) -> list[tuple[_Range, _Range]]:
    """The pairs that overlap, in their order. Of two ranges in CIDR notation that overlap one holds the other, so in
    the order of their addresses each is held against those that hold it: there may be thousands of ranges."""
    holders: list[int] = []
    found = []
    numbers = sorted(range(len(ranges)), key=lambda each: (*_sorting(ranges[each].network), each))
    for number in numbers:
        while holders and not ranges[holders[-1]].network.overlaps(ranges[number].network):
            holders.pop()
        found += [(min(number, holder), max(number, holder)) for holder in holders]
        holders.append(number)
    return [(ranges[first], ranges[second]) for first, second in sorted(found)]


def _sorting(network: ipaddress.IPv4Network) -> tuple[int, int]:
    return int(network.network_address), network.prefixlen


def client_ranges(files: Sequence[ParameterFile]) -> Iterator[Finding]:
    """Ranges of clients that lie in a VPC, overlap each other, or ask for a route that on-premises has already."""
    vpcs = list(dict.fromkeys(found for file in files for found in _ranges(file, VPC)))
    overlapped: dict[ipaddress.IPv4Network, list[_Range]] = {}
    for file in files:
        given = list(_ranges(file, CLIENT))
        for client in given:
            if client.network not in overlapped:  # thousands of targets may have the same
                overlapped[client.network] = [vpc for vpc in vpcs if client.network.overlaps(vpc.network)]
            for vpc in overlapped[client.network]:
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
                yield Finding("client-route", message, *file.at(route.key))


def _ranges(file: ParameterFile, keys: re.Pattern[str]) -> Iterator[_Range]:
    for entry in file.entries.values():
        if keys.match(entry.key):
            for text in entry.value.split(","):
                network = _network(text.strip())
                if network is not None:
                    yield _Range(*file.at(entry.key), entry.key, network)


def _network(text: str) -> ipaddress.IPv4Network | None:
    """The range, or None for a text that is not one: that is a finding about the value already."""
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None


def _finding(one: _Range, other: _Range, why: str) -> Finding:
    where = f"line {other.line}" if other.file == one.file else f"{other.file} line {other.line}"
    return Finding("overlapping-ranges", f"{one} overlaps {other} of {where}; {why}", one.file, one.line)
