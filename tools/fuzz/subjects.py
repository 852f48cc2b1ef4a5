"""Everything that reads an input: how one is made of the repository's own files, and the code that takes it.

An input may be refused by one of the errors that a person reads as a line; any other error would be a traceback, and so
would a line with a control character be in a terminal.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml
from cfnlint.decode import decode_str
from cfnlint.template.template import Template as LintedTemplate

from builders import catalog, environments, layer_templates, outputs, parameter_validation
from builders.building import environment_check
from builders.errors import StackferryError
from builders.findings import Finding, as_text
from builders.naming import stack_set
from builders.page import Page
from builders.rollout.config import desired_state, loading, parameters
from builders.rollout.config.parameters import Source, TargetGroup
from builders.rollout.model import (
    CurrentState,
    DeployedStack,
    DesiredState,
    Instance,
    Permissions,
    Preferences,
    StackSet,
    StackSetSpec,
    Status,
    Target,
    Wave,
)
from builders.rollout.plan.calls import Action, Call
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Plan, make_plan
from builders.rollout.render import plan_file
from builders.rollout.render.plan import add_plan
from builders.rollout.state.journal import Command, Entry, EntryState, Hold, Journal, Run
from builders.rollout.state.serialization import Folder
from builders.rollout.state.store import Store
from builders.rules import all_rules
from builders.text import name_list
from tools.fuzz.mutation import as_bytes, as_json, changed

TEMPLATES, ENVIRONMENTS, ROLLOUT = Path("templates"), Path("environments"), Path("rollout.yaml")
TARGETS = (Target("1" * 12, "us-east-1"), Target("1" * 12, "eu-west-1"))
MOST_RESOURCES = 6
"""Resources of a template that is planned, beside those that they refer to."""
_DIGESTED = 0.7
"""The share of edited plans whose digest is that of the edited content: the others go no further than the digest."""
MOST_LEVELS = 1_000
"""Depth of a template that cfn-lint is given: PyYAML's parser in C overflows the stack some levels later."""
WHOLE_CHECKS = 20
"""One in so many parameter files goes through all of `build-templates --check`, which takes a third of a second."""


@dataclass(frozen=True)
class Subject:
    """One reader. `make` makes an input; `take` reads it and returns a word for what became of it.

    `take` raises `refusals` for an input that it refuses, and anything else is a failure.
    """

    name: str
    make: Callable[[Random], bytes]
    take: Callable[[bytes], str]
    refusals: tuple[type[Exception], ...] = (StackferryError,)


def subjects(folder: Path) -> dict[str, Subject]:
    """All subjects but the functions, by name. Their files are written below `folder`."""
    found = (
        _rollout_files(folder),
        _environments(folder),
        _linted(),
        _planned(),
        _secrets(),
        _saved_plans(folder),
        _outputs(folder),
        _journals(),
    )
    return {subject.name: subject for subject in found}


def printed(text: str) -> str:
    """The text of a result. Raises `AssertionError` where a terminal would take a part of it for more than text."""
    odd = sorted({character for character in text if character != "\n" and not character.isprintable()})
    assert not odd, f"a result has {odd!r}"
    return text


def _rollout_files(folder: Path) -> Subject:
    """rollout.yaml up to the desired state of each phase, without what AWS says."""
    data, project = yaml.safe_load(ROLLOUT.read_text(encoding="utf-8")), folder / "project"
    shutil.copytree(ENVIRONMENTS, project / ENVIRONMENTS, dirs_exist_ok=True)
    (project / "accounts.txt").write_text("111111111111\n222222222222\n", encoding="utf-8")
    data["phases"]["prod"]["targets"] = {"accounts_file": "accounts.txt"}
    data["phases"]["prod"]["waves"][0]["accounts"] = ["111111111111"]
    found, text = layer_templates.read_templates(TEMPLATES), ROLLOUT.read_text(encoding="utf-8")
    bucket = {"ArtifactsBucket": environments.read(ENVIRONMENTS / "dev.json").values["ArtifactsBucket"]}
    gateway = {"TransitGatewayId": "tgw-0123456789abcdef0", "OnPremisesRouteTableId": "tgw-rtb-0123456789abcdef0"}
    regions = {target.region for target in TARGETS}
    shared = parameters.SharedOutputs(dict.fromkeys(regions, bucket), network=dict.fromkeys(regions, gateway))
    words = ("accounts", "accounts_file", "organizational_units", "waves", "percent", "count", "bake", "leave_out",
             "account_parameters", "place_parameters", "concurrency", "stacksets", "network",
             "deploy_role")  # fmt: skip

    def make(source: Random) -> bytes:
        if source.random() < 0.2:
            return as_bytes(source, text)
        made = changed(source, data, words)
        with contextlib.suppress(yaml.YAMLError, RecursionError, ValueError):
            if source.random() < 0.5:
                return as_bytes(source, yaml.safe_dump(made, sort_keys=False, allow_unicode=source.random() < 0.5))
        return as_bytes(source, as_json(source, made))

    def take(content: bytes) -> str:
        (project / ROLLOUT).write_bytes(content)
        rollout = loading.load_rollout_file(project / ROLLOUT)
        for phase in rollout.phases:
            desired_state.desired_state(rollout, phase, found, shared)
        return "read"

    return Subject("rollout", make, take)


def _environments(folder: Path) -> Subject:
    """environments/*.json, one at a time, up to the findings about their values."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(ENVIRONMENTS.glob("*.json"))]
    lists, made_templates, directory = [json.loads(text) for text in texts], catalog.assemble(), folder / "environments"
    directory.mkdir(parents=True, exist_ok=True)

    def make(source: Random) -> bytes:
        kind = source.random()
        if kind < 0.2:
            return as_bytes(source, source.choice(texts))
        return as_bytes(source, as_json(source, changed(source, source.choice(lists))))

    declared = parameter_validation.declarations(
        {layer: template["Parameters"] for layer, template in made_templates.templates.items()}
    )

    def take(content: bytes) -> str:
        (directory / "dev.json").write_bytes(content)
        if zlib.crc32(content) % WHOLE_CHECKS == 0:
            printed(as_text(environment_check.check(directory, made_templates)))
        file = environments.read(directory / "dev.json")
        found = [
            *file.findings,
            *environment_check.overlapping_ranges([file]),
            *environment_check.client_ranges([file]),
        ]
        said = [
            sentence
            for key, value in file.values.items()
            for sentence in parameter_validation.wrong_value(key, value, declared.get(key, {}))
        ]
        said += [sentence for key in file.values if (sentence := parameter_validation.unknown_parameter(key, declared))]
        printed(as_text([*found, *(Finding("parameter-value", sentence, "dev.json") for sentence in said)]))
        return "findings" if found or said else "clean"

    return Subject("environments", make, take)


def _linted() -> Subject:
    """Templates through the rules, as cfn-lint hands them over."""
    bodies, rules = _bodies(), [rule() for rule in all_rules()]

    def make(source: Random) -> bytes:
        return as_bytes(source, as_json(source, changed(source, _smallest(source, source.choice(bodies)), _WORDS)))

    def take(content: bytes) -> str:
        if _levels(content) > MOST_LEVELS:
            return "not for PyYAML"
        try:
            template, broken = decode_str(content.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError, TypeError, AttributeError):
            return "refused by cfn-lint itself"
        if broken or not isinstance(template, dict):
            return "refused by cfn-lint itself"
        try:
            linted = LintedTemplate(None, template)
        except Exception:
            return "refused by cfn-lint itself"
        found = [match for rule in rules for match in rule.match(linted)]
        return "findings" if found else "clean"

    return Subject("lint", make, take)


def _levels(content: bytes) -> int:
    """The levels of brackets, those in texts counted as well."""
    level = deepest = 0
    for byte in content:
        level += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, level)
    return deepest


_WORDS = ("Parameters", "Mappings", "Conditions", "Rules", "Resources", "Outputs", "Metadata", "Type", "Properties",
          "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Export", "Value", "Default",
          "AllowedValues", "AllowedPattern", "MinLength", "MaxValue", "NoEcho", "Assertions", "Assert")  # fmt: skip


def _bodies() -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(TEMPLATES.glob("*.json"))]


def _smaller(source: Random, body: Mapping[str, Any], most: int = MOST_RESOURCES) -> dict[str, Any]:
    """A template of a few resources and all that they refer to, and of the outputs that these leave."""
    resources, kept = body["Resources"], set[str]()
    waiting = source.sample(sorted(resources), min(len(resources), most))
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting += [other for other in resources if other in _names_in(resources[name])]
    outputs = {
        name: output
        for name, output in body.get("Outputs", {}).items()
        if not (_names_in(output) & resources.keys()) - kept
    }
    return {**body, "Resources": {name: resources[name] for name in resources if name in kept}, "Outputs": outputs}


def _smallest(source: Random, body: Mapping[str, Any]) -> dict[str, Any]:
    """A template of one resource and what it refers to: cfn-lint works out every condition, referred to or not."""
    small = _smaller(source, body, 1)
    small["Rules"] = {}
    for section in ("Conditions", "Conditions", "Conditions", "Parameters"):  # one may refer to the next
        named = _names_in([small["Resources"], small["Outputs"], small.get("Conditions", {})])
        entries = small.get(section, {})
        inner = _names_in([small["Resources"], small["Outputs"], *entries.values()])
        small[section] = {
            name: entries[name] for name in entries if name in (inner if section == "Conditions" else named)
        }
    return small


def _names_in(node: Any) -> set[str]:
    return set(re.findall(r"[A-Za-z0-9]+", json.dumps(node)))


def _shown(plan: Plan, width: int) -> str:
    page = Page(width)
    add_plan(page, plan)
    return page.text().plain


def _planned() -> Subject:
    """Templates through the planner: as rollout's templates, as those of stack sets, and of stacks that stand."""
    bodies, values = _bodies(), environments.read(ENVIRONMENTS / "dev.json").values

    def make(source: Random) -> bytes:
        body = source.choice(bodies)
        small = body if source.random() < 0.2 else _smaller(source, body)
        sides = [as_json(source, small), as_json(source, changed(source, small, _WORDS))]
        if source.random() < 0.3:
            sides[0] = as_json(source, changed(source, small, _WORDS))
        if source.random() < 0.5:
            sides.reverse()
        given = changed(source, values) if source.random() < 0.2 else values
        kept = (
            {str(key): value for key, value in given.items() if isinstance(value, str)}
            if isinstance(given, dict)
            else {}
        )
        return json.dumps({"before": sides[0], "after": sides[1], "values": kept}, indent=1).encode()

    def take(content: bytes) -> str:
        given = json.loads(content)
        with contextlib.suppress(StackferryError):
            _as_desired(given["after"], given["values"])
        plan = make_plan(_desired(given["after"], given["values"]), _current(given["before"], given["values"]))
        printed(_shown(plan, 100))
        saved = plan_file.SavedPlan.of(plan)
        assert plan_file.differences(saved, plan) == []
        unknown = [change for group in plan.groups for change in group.changes or () if change.effect.name == "UNKNOWN"]
        return "not comparable" if unknown else "planned"

    return Subject("plan", make, take)


SECRETS = ("hunter2before", "hunter2after")
_HIDDEN = "HiddenOfNobody"
_WITH_HIDDEN: tuple[Any, ...] = (
    {"Ref": _HIDDEN},
    {"Fn::Sub": f"a${{{_HIDDEN}}}b"},
    {"Fn::Sub": ["${A}", {"A": {"Ref": _HIDDEN}}]},
    {"Fn::Join": ["-", ["a", {"Ref": _HIDDEN}]]},
    {"Fn::Select": [0, {"Fn::Split": ["/", {"Ref": _HIDDEN}]}]},
    {"Fn::Select": [{"Ref": _HIDDEN}, ["a"]]},
    {"Fn::FindInMap": [{"Ref": _HIDDEN}, "a", "b"]},
    {"Fn::ImportValue": {"Ref": _HIDDEN}},
    {"Fn::GetAtt": ["HolderOfNobody", "Value"]},
    {"Fn::Sub": "${HolderOfNobody.Value}"},
    [{"Key": "k", "Value": {"Ref": _HIDDEN}}],
)


def _secrets() -> Subject:
    """Templates that take a NoEcho parameter wherever they take a value, through the planner: no plan has its value."""
    bodies, values = _bodies(), environments.read(ENVIRONMENTS / "dev.json").values
    holder = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": {"Ref": _HIDDEN}}}

    def make(source: Random) -> bytes:
        body = _smaller(source, source.choice(bodies))
        for name in source.sample(sorted(body["Resources"]), min(2, len(body["Resources"]))):
            properties = body["Resources"][name].setdefault("Properties", {})
            for key in source.sample(sorted(properties), min(2, len(properties))):
                properties[key] = source.choice(_WITH_HIDDEN)
        for output in body["Outputs"].values():
            if source.random() < 0.3:
                output["Value"] = source.choice(_WITH_HIDDEN)
            if source.random() < 0.2:
                output["Export"] = {"Name": source.choice(_WITH_HIDDEN)}
        body["Resources"]["HolderOfNobody"] = holder
        body["Parameters"] = {
            **body["Parameters"],
            _HIDDEN: {"Type": "String", "NoEcho": source.choice([True, "true"])},
        }
        return json.dumps(body, indent=1).encode()

    def take(content: bytes) -> str:
        before, after = ({**values, _HIDDEN: secret} for secret in SECRETS)
        plan = make_plan(_desired(content.decode(), after), _current(content.decode(), before))
        shown = _shown(plan, 10_000) + plan_file.SavedPlan.of(plan).model_dump_json()
        assert not any(secret in shown for secret in SECRETS), "a plan has the value of a NoEcho parameter"
        return "masked" if "****" in shown else "not shown"

    return Subject("secrets", make, take)


def _outputs(folder: Path) -> Subject:
    """outputs/ as every command reads it: the files of a target, of its phase, and the flat one."""
    stacks = {"migration": {"ReplicationTaskArn": "arn:aws:dms:us-east-1:111111111111:task:abc"},
              "network": {"VpcId": "vpc-1"}}  # fmt: skip
    flat, directory = outputs.flatten(stacks), folder / "outputs"
    outputs.write_targets("dev", {TARGETS[0]: stacks}, directory)
    paths = sorted(directory.rglob(outputs.FLAT))

    def make(source: Random) -> bytes:
        made = [as_bytes(source, as_json(source, changed(source, flat, outputs.RELIED_ON))) for _ in paths]
        return json.dumps([each.decode("latin-1") for each in made]).encode()

    def take(content: bytes) -> str:
        for path, text in zip(paths, json.loads(content), strict=True):
            path.write_bytes(text.encode("latin-1"))
        outcomes = set()
        for target in (Target("", ""), *TARGETS):
            try:
                outputs.phases(directory)
                outputs.every_target("dev", directory)
                found = outputs.find("dev", directory, target.account or None, target.region or None)
                assert found is not None
                outcomes.add("read")
            except StackferryError as error:
                printed(str(error))
                outcomes.add("refused")
        return name_list(sorted(outcomes))

    return Subject("outputs", make, take)


def _as_desired(body: str, values: Mapping[str, str]) -> None:
    """The checks that a template of templates/ goes through with the values of a phase."""
    template = layer_templates.read_template("network", body)
    source = Source("dev.json", values)
    group = TargetGroup(TARGETS, (source,))
    problems = [*parameters.unknown_parameters([source], [template]), *parameters.wrong_values([source], [template])]
    problems += parameters.missing_values([group], [template], "give it")
    if not problems:
        problems += parameters.failed_rules(template, [group])
        parameters.set_values(template, [group], values)


def _desired(body: str, values: Mapping[str, str]) -> DesiredState:
    spec = StackSetSpec("network", stack_set("network", "dev"), body, values, {target: {} for target in TARGETS})
    wave = Wave("rest", (TARGETS[0].account,))
    regions = tuple(target.region for target in TARGETS)
    sets = {"network": spec}
    return DesiredState(
        "dev", "dev", sets, {}, {"network": frozenset()}, (wave,), regions, Preferences(), Permissions(), {}
    )


def _current(body: str, values: Mapping[str, str]) -> CurrentState:
    instances = {target: Instance(target, Status.CURRENT, "SUCCEEDED", overrides={}) for target in TARGETS}
    found = StackSet("network", stack_set("network", "dev"), body, values, {}, instances)
    stack = DeployedStack(body, values, "UPDATE_COMPLETE")
    return CurrentState(
        {"network": found}, {("network", target): stack for target in TARGETS}, running_tasks=frozenset(TARGETS)
    )


def _saved_plans(folder: Path) -> Subject:
    """plan.json as `apply` reads it."""
    body = (TEMPLATES / "network.json").read_text(encoding="utf-8")
    values = environments.read(ENVIRONMENTS / "dev.json").values
    other = json.loads(body)
    other["Resources"].pop(sorted(other["Resources"])[0])
    plan = make_plan(_desired(json.dumps(other), values), _current(body, values))
    path = folder / "plan.json"
    plan_file.save_plan(plan, path)
    data = json.loads(path.read_text(encoding="utf-8"))
    words = ("groups", "hazards", "calls", "kind", "changes", "places", *(kind.value for kind in ChangeKind))

    def make(source: Random) -> bytes:
        made = changed(source, data, words)
        if isinstance(made, dict) and source.random() < _DIGESTED:
            shown = {name: part for name, part in made.items() if name not in ("stackferry_plan", "sha256")}
            with contextlib.suppress(TypeError, ValueError, RecursionError):  # what JSON does not write
                text = json.dumps(shown, sort_keys=True, separators=(",", ":"))
                made["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        return as_bytes(source, as_json(source, made))

    def take(content: bytes) -> str:
        path.write_bytes(content)
        lines = plan_file.differences(plan_file.load_plan(path), plan)
        return "differs" if lines else "same"

    return Subject("saved-plan", make, take)


class _Objects:
    """A bucket in memory."""

    def __init__(self, bodies: Mapping[str, bytes]) -> None:
        self.bodies = dict(bodies)

    def get(self, _bucket: str, key: str) -> tuple[bytes, str] | None:
        found = self.bodies.get(key.rpartition("/")[2])
        return None if found is None else (found, "etag")

    def put(self, _bucket: str, key: str, body: bytes, _expected: str | None = None) -> str:
        self.bodies[key.rpartition("/")[2]] = body
        return "etag"

    def exists(self, _bucket: str, key: str) -> bool:
        return key.rpartition("/")[2] in self.bodies


def _journals() -> Subject:
    """run.json, history.json and known.json as every command of a phase reads them."""
    files = _journal_files()

    def make(source: Random) -> bytes:
        made = {}
        for name, data in files.items():
            text = as_json(source, changed(source, data)) if source.random() < 0.6 else json.dumps(data)
            made[name] = as_bytes(source, text).decode("latin-1")
        return json.dumps(made, indent=1).encode()

    def take(content: bytes) -> str:
        objects = _Objects({name: text.encode("latin-1") for name, text in json.loads(content).items()})
        store = Store(objects, "bucket", "dev")  # type: ignore[arg-type]
        outcomes = []
        for reads in (
            store.journal.run,
            store.journal.history,
            store.last_good,
            lambda: store.overrides().stored(),
            lambda: store.journal.hold(_HOLD),
            lambda: Journal(Folder(objects, "bucket", "dev")).take_over("me"),  # type: ignore[arg-type]
        ):
            try:
                reads()
            except StackferryError as error:
                printed(str(error))
                outcomes.append(error)
        return "refused in part" if outcomes else "read"

    return Subject("journal", make, take)


_HOLD = Hold(
    "me", Command.APPLY, "arn:aws:iam::111111111111:user/me", "2026-01-01T00:00:00+00:00", "2026-01-01T01:00:00+00:00"
)


def _journal_files() -> dict[str, Any]:
    """The files of a phase in which a run is under way, and which had others."""
    objects = _Objects({})
    store = Store(objects, "bucket", "dev")  # type: ignore[arg-type]
    spec = _desired("{}", {}).sets["network"]
    call = Call(Action.UPDATE_SET, spec.layer, spec.name, (TARGETS[0].account,), ("us-east-1",))
    for number, ends in enumerate((True, False)):
        run = Run(f"run-{number}", Command.APPLY, f"{number:012}", "owner", "2026-01-01T00:00:00+00:00", by="me")
        store.journal.begin(run)
        store.journal.record(Entry(f"operation-{number}", call, EntryState.OVER))
        cache = store.overrides()
        cache.learn(
            "network",
            Instance(TARGETS[0], Status.CURRENT, "SUCCEEDED", last_operation_id="operation-1"),
            {"VpcCidr": "10.0.0.0/16"},
        )
        store.save_overrides(cache)
        if ends:
            store.journal.close(good=True)
    return {name: json.loads(body) for name, body in objects.bodies.items()}
