"""Layers of a project's own: found in `layers/`, and let in by the execution role of StackSets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import warm
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from troposphere import iam

from builders import resource_types
from builders.layers._execution import own, registry
from builders.layers._execution.actions import CONFINED, EVERYWHERE, TYPES
from builders.stack import OwnLayer, Stack

Build = Callable[..., subprocess.CompletedProcess[str]]

QUEUE = '''"""A queue."""
from troposphere import sqs
from builders.stack import Scope, Stack
SCOPE = Scope.PHASE
def build(stack: Stack) -> None:
    stack.add(sqs.Queue("Inbox"))
'''
READER = '''"""A role that reads a queue, and describes keys, which the boundary allows."""
from awacs import kms, sqs
from troposphere import iam
from builders import policies
from builders.stack import Scope, Stack
SCOPE = Scope.PHASE
def build(stack: Stack) -> None:
    reading = policies.allow("Read", [sqs.ReceiveMessage, kms.DescribeKey], ["*"])
    stack.add(
        iam.Role(
            "Reader",
            AssumeRolePolicyDocument=policies.trust("Lambda", policies.service("lambda.amazonaws.com")),
            Policies=[iam.Policy(PolicyName="read", PolicyDocument=policies.document(reading))],
        )
    )
'''
LEDGER = '''"""A ledger, for which the registry names no actions."""
from troposphere import qldb
from builders.stack import Scope, Stack
SCOPE = Scope.PHASE
def build(stack: Stack) -> None:
    stack.add(qldb.Ledger("Ledger", PermissionsMode="STANDARD"))
'''
RESOURCE = re.compile(
    r"\*|arn:\$\{AWS::Partition\}:([a-z0-9-]+:(\*|[a-z0-9-]*):(\$\{AWS::AccountId\}|aws|):.+|braket:\*:\*:device/\*)"
)
"""An ARN of this account, or of AWS: quantum devices are AWS's (Service Authorization Reference, Braket)."""


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Runs build-templates in a project with some layers of its own, in a process of its own."""
    (tmp_path / "layers").mkdir()
    (tmp_path / "environments").mkdir()

    def run(*arguments: str, **sources: str) -> subprocess.CompletedProcess[str]:
        for name, source in sources.items():
            (tmp_path / "layers" / f"{name}.py").write_text(source, encoding="utf-8")
        command = [sys.executable, "-m", "builders.build", "--no-lint", *arguments]
        return warm.run(command, cwd=tmp_path, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")})

    return run


def statements(**templates: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statements that the execution role gets for layers with these resources."""
    stack = Stack("account", "")
    stack.template.add_resource(iam.Role("ExecutionRole", AssumeRolePolicyDocument={}))
    layers = {name: OwnLayer({"Resources": resources}) for name, resources in templates.items()}
    assert list(own.complete(stack, layers)) == []
    return [
        statement
        for name, policy in stack.to_dict()["Resources"].items()
        if name.startswith("ExecutionOwnPolicy")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def arns(statement: Mapping[str, Any]) -> list[str]:
    return [each["Fn::Sub"] if isinstance(each, dict) else each for each in statement["Resource"]]


def test_a_layer_in_the_project_is_built_and_its_actions_are_granted(build: Build, tmp_path: Path) -> None:
    finished = build(inbox=QUEUE)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "templates" / "inbox.json").exists()
    account = json.loads((tmp_path / "templates" / "account.json").read_text(encoding="utf-8"))
    assert {"sqs:CreateQueue", "sqs:SetQueueAttributes", "sqs:DeleteQueue"} <= own.granted(account)


def test_check_names_the_actions_that_the_execution_role_lacks(build: Build) -> None:
    assert build().returncode == 0
    finished = build("--check", inbox=QUEUE)
    assert finished.returncode == 1
    (line,) = [each for each in finished.stdout.splitlines() if "execution-actions" in each]
    assert "the execution role of StackSets may not sqs:CreateQueue, sqs:DeleteQueue" in line
    assert "run build-templates, then rollout-stacksets bootstrap" in line


def test_a_type_without_actions_in_the_registry_asks_for_them(build: Build) -> None:
    finished = build(ledger=LEDGER)
    assert finished.returncode == 1
    assert "the registry does not say which actions AWS::QLDB::Ledger needs" in finished.stdout
    assert 'ACTIONS = ("service:Action", ...)' in finished.stdout
    stated = LEDGER.replace("SCOPE =", 'ACTIONS = ("qldb:CreateLedger", "qldb:DeleteLedger")\nSCOPE =')
    finished = build(ledger=stated)
    assert finished.returncode == 0, finished.stdout


def test_check_names_the_actions_of_a_role_that_go_beyond_the_boundary(build: Build, tmp_path: Path) -> None:
    """The role would be made, and be refused when it works."""
    text = Path("environments/dev.json").read_text(encoding="utf-8")
    (tmp_path / "environments" / "dev.json").write_text(text, encoding="utf-8")
    assert build(reader=READER).returncode == 0
    finished = build("--check")
    (line,) = [each for each in finished.stdout.splitlines() if "reader" in each]
    assert (
        "reader: Reader may sqs:ReceiveMessage, and no role may by PermissionsBoundary=stackferry-boundary-dev" in line
    )
    assert finished.returncode == 1


@pytest.mark.parametrize("name", ["network", "_functions"])
def test_a_module_that_is_called_like_one_of_ours_is_refused(build: Build, name: str) -> None:
    finished = build(**{name: QUEUE})
    assert finished.returncode == 2
    assert finished.stderr.splitlines() == [
        f"build-templates: layers/{name} is called like a module of Stackferry's layers; give it another name"
    ]


def test_a_name_in_the_template_confines_the_actions_to_it() -> None:
    named = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": "inbox-${EnvironmentSuffix}"}}}
    (statement,) = statements(inbox={"Inbox": named})
    assert arns(statement) == ["arn:${AWS::Partition}:sqs:*:${AWS::AccountId}:inbox-${EnvironmentSuffix}"]


def test_generated_names_confine_the_actions_to_the_stacks_of_stack_sets() -> None:
    (statement,) = statements(inbox={"Inbox": {"Type": "AWS::SQS::Queue"}})
    assert all("stackset-stackferry-" in arn.lower() for arn in arns(statement))


def test_types_of_ours_bring_nothing_new_while_their_names_are_generated() -> None:
    function, role = {"Type": "AWS::Lambda::Function"}, {"Type": "AWS::IAM::Role"}
    assert statements(own={"Function": function, "Role": role}) == []


def test_a_property_that_no_template_of_ours_sets_brings_its_actions() -> None:
    function = {"Type": "AWS::Lambda::Function", "Properties": {"Layers": ["arn"]}}
    assert [each["Action"] for each in statements(own={"Function": function})] == [["lambda:GetLayerVersion"]]


def test_roles_are_passed_to_the_services_that_they_trust_and_to_no_other() -> None:
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]}
    resources = {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}},
        "Task": {"Type": "AWS::ECS::TaskDefinition"},
    }
    (passing,) = [each for each in statements(own=resources) if "iam:PassRole" in each["Action"]]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": ["ecs-tasks.amazonaws.com"]}}
    assert arns(passing) == ["arn:${AWS::Partition}:iam::${AWS::AccountId}:role/StackSet-stackferry-*"]


def test_keys_are_used_through_the_service_of_the_type_only() -> None:
    found = statements(own={"Table": {"Type": "AWS::DynamoDB::Table"}})
    (using,) = [each for each in found if "kms:Decrypt" in each["Action"]]
    assert using["Condition"] == {"StringLike": {"kms:ViaService": ["dynamodb.*.amazonaws.com"]}}


def test_secrets_are_reached_by_their_names_and_with_the_phases_tag() -> None:
    secrets = {
        "ApiKey": {"Type": "AWS::SecretsManager::Secret"},
        "Named": {
            "Type": "AWS::SecretsManager::Secret",
            "Properties": {"Name": {"Fn::Sub": "api-${EnvironmentSuffix}"}},
        },
    }
    found = statements(own=secrets)
    prefix = "arn:${AWS::Partition}:secretsmanager:*:${AWS::AccountId}:secret:"
    assert {arn for each in found for arn in arns(each)} == {
        f"{prefix}ApiKey-*",
        f"{prefix}api-${{EnvironmentSuffix}}-*",
    }
    (reading,) = [each for each in found if "secretsmanager:GetSecretValue" in each["Action"]]
    assert reading["Condition"] == {"StringEquals": {"aws:ResourceTag/Environment": {"Ref": "EnvironmentSuffix"}}}


def test_what_ours_confine_further_is_not_widened() -> None:
    """Roles, secrets and key policies: whoever writes a layer does not get around the conditions of grants.py."""
    resources = {
        "Profile": {"Type": "AWS::IAM::InstanceProfile"},
        "Replica": {"Type": "AWS::KMS::ReplicaKey"},
        "Policy": {"Type": "AWS::SecretsManager::ResourcePolicy"},
    }
    granted = {action for each in statements(own=resources) for action in each["Action"]}
    confined = {"iam:AttachRolePolicy", "iam:CreateRole", "kms:PutKeyPolicy", "secretsmanager:GetSecretValue"}
    assert granted & confined == set()
    assert "iam:CreateInstanceProfile" in granted


def test_every_type_of_the_registry_has_actions_or_asks_for_them(whole: bool) -> None:
    """Of each, only ARNs that IAM takes. The tests take a sample of the types, `--whole` all of them."""
    every = sorted(PROVIDER_SCHEMA_MANAGER.get_resource_types("us-east-1"))
    for name in every if whole else every[::24]:
        stack = Stack("account", "")
        stack.template.add_resource(iam.Role("ExecutionRole", AssumeRolePolicyDocument={}))
        open_ends = dict(own.complete(stack, {"own": OwnLayer({"Resources": {"It": {"Type": name}}})}))
        found = [
            statement
            for title, policy in stack.to_dict()["Resources"].items()
            if title.startswith("ExecutionOwnPolicy")
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        ]
        assert [arn for each in found for arn in arns(each) if not RESOURCE.fullmatch(arn)] == []
        needed = registry.needed([{"Resources": {"It": {"Type": name}}}])[name]
        given = {
            f"{service}:{verb}"
            for table in (EVERYWHERE, CONFINED)
            for service, verbs in table.items()
            for verb in verbs
        }
        assert found or open_ends or name in (*TYPES, *own.WITHOUT_ACTIONS) or set(needed) <= given, name
        assert resource_types.load(name) is not None


@pytest.mark.parametrize(
    ("name", "constants", "message"),
    [
        ("inbox", "AFTER = 5", 'inbox: AFTER is 5; write a tuple of texts, such as ("network",)'),
        ("inbox", "AFTER = 'network'", "inbox: AFTER is 'network'; write a tuple of texts"),
        ("inbox", "ACTIONS = [1, 2]", "inbox: ACTIONS is [1, 2]; write a tuple of texts"),
        ("inbox", "ACTIONS = ('iam:*', 's3')", "inbox: ACTIONS has 'iam:*' and 's3'; write each action by its name"),
        ("in box", "", "in box: a layer's file is called by small letters, digits and underscores"),
        ("In-box", "", "In-box: a layer's file is called by small letters, digits and underscores"),
    ],
)
def test_a_layer_whose_constants_or_name_do_not_fit_is_a_finding_of_its_own_file(
    build: Build, tmp_path: Path, name: str, constants: str, message: str
) -> None:
    made = build("--no-environments", **{name: QUEUE.replace("def build", f"{constants}\ndef build")})
    assert (made.returncode, made.stdout.count("\n")) == (1, 1), made.stderr
    assert f"layers/{name}.py" in made.stdout
    assert message in made.stdout
    assert '"iam:*"' not in (tmp_path / "templates" / "account.json").read_text(encoding="utf-8")


def test_what_a_layer_prints_is_not_among_the_findings(build: Build) -> None:
    talking = QUEUE.replace("def build", "print('imported')\ndef build") + "    print('built')\n"
    made = build("--no-environments", "--json", inbox=talking)
    assert (made.returncode, made.stdout) == (0, "[]\n")
    assert "imported\nbuilt\n" in made.stderr
