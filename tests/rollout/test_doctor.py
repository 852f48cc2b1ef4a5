"""Each check of doctor on the embedded cloud: where all is well, and with what it has to find."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from cloud.stacksets.organization import Organization

from builders import naming
from builders.aws import networks
from builders.aws.accounts import DEFAULTS, STACK_SETS
from builders.aws.errors import AccessDenied
from builders.cloud.process import Cloud
from builders.errors import RolloutError
from builders.layer_templates import Template, read_template
from builders.rollout.checks.doctor import CHECKS, run_check, run_doctor
from builders.rollout.checks.findings import CheckedPhase, CheckResult, Problem, Severity
from builders.rollout.config import loading
from builders.rollout.config.parameters import SharedOutputs, Source, TargetGroup
from builders.rollout.config.schema import RolloutFile, SharedAccount
from builders.rollout.model import Permissions, Target
from builders.rollout.phase import PhaseConnection
from builders.rollout.plan.calls import Action
from builders.rollout.state.journal import Command, Run
from builders.rollout.state.store import Store
from builders.template_bodies import PlainStack

from .conftest import DEPLOY_ROLE, PHASE, PLAN_ROLE, REGION, SUFFIX, Administrator, Rollout, connect, deploy_plain
from .phases import made

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
SERVICE_MANAGED = Permissions(service_managed=True, units=("ou-1",))


def templates() -> dict[str, Template]:
    return {"network": made("network")}


@pytest.fixture
def phase(administrator: Administrator, members: list[str]) -> CheckedPhase:
    """A phase in three accounts that lacks nothing but a network account."""
    plan = {"environment": "dev.json", "targets": {"accounts": members}, "regions": [REGION]}
    content = {"tooling": {"account": administrator.number, "parameters": "tooling.json"}, "phases": {PHASE: plan}}
    return CheckedPhase(
        client=administrator.client(),
        rollout=RolloutFile.model_validate(content),
        phase=PHASE,
        suffix=SUFFIX,
        accounts=tuple(members),
        templates=templates(),
        permissions=Permissions(),
        buckets={REGION: administrator.bucket()},
        packages=("rotation-1.zip",),
    )


def found(phase: CheckedPhase, name: str) -> list[Problem]:
    """The findings of one check."""
    return list(run_check(name, phase).findings)


def test_a_stack_set_whose_layer_has_no_template_is_found(phase: CheckedPhase, administrator: Administrator) -> None:
    """Its module was deleted before its stacks: no plan removes them."""
    api, body = administrator.api("cloudformation"), json.dumps({"Resources": {"Inbox": {"Type": "AWS::SQS::Queue"}}})
    for name in (f"stackferry-inbox-{SUFFIX}", "stackferry-inbox-other", f"somebody-{SUFFIX}"):
        api.create_stack_set(StackSetName=name, TemplateBody=body)
    (finding,) = found(phase, "templates")
    assert finding.severity is Severity.WARNING
    assert f"the stack set stackferry-inbox-{SUFFIX} has no template here" in finding.what


def drop_role(administrator: Administrator, account: str, role: str) -> None:
    iam = administrator.api("iam", account)
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=name)
    iam.delete_role(RoleName=role)


WELL = (
    *("credentials", "administration role", "execution roles", "plan roles", "deploy roles", "DMS roles", "accounts"),
    *("templates", "zones", "security groups", "way to on-premises", "buckets", "regions", "quotas", "instances"),
    *("log groups", "addresses", "secrets", "rotations", "run"),
)


def test_every_check_has_its_line_and_a_phase_that_lacks_nothing_is_well(phase: CheckedPhase) -> None:
    diagnosis, _ = run_doctor(phase)

    assert [each.name for each in diagnosis.checks] == list(CHECKS)
    assert {each.name: each.findings for each in diagnosis.checks if each.name in WELL} == dict.fromkeys(WELL, ())


def test_credentials_of_another_account_are_found(phase: CheckedPhase) -> None:
    tooling = phase.rollout.tooling.model_copy(update={"account": "888888888888"})
    other = dataclasses.replace(phase, rollout=phase.rollout.model_copy(update={"tooling": tooling}))

    (finding,) = found(other, "credentials")

    assert (
        finding.what
        == f"the credentials are of account {phase.rollout.tooling.account}, and the tooling account is 888888888888"
    )


def test_a_missing_administration_role_is_found(phase: CheckedPhase, administrator: Administrator) -> None:
    drop_role(administrator, administrator.number, "AWSCloudFormationStackSetAdministrationRole")

    (finding,) = found(phase, "administration role")

    assert finding.what.startswith("there is no administration role AWSCloudFormationStackSetAdministrationRole")


def test_before_bootstrap_the_roles_that_it_makes_are_missing_and_not_those_of_stack_sets_itself(
    phase: CheckedPhase,
) -> None:
    missing = RolloutError("there is no stack administration-dev; run bootstrap first")
    phase = dataclasses.replace(phase, shared_problem=missing)

    (administration,), (execution,) = found(phase, "administration role"), found(phase, "execution roles")

    roles = ("administration role stackferry-administration-dev", "execution role stackferry-execution-dev")
    assert administration.what == f"there is no {roles[0]} in the tooling account"
    assert execution.what == f"there is no {roles[1]}"
    assert {administration.remedy, execution.remedy} == {"run `rollout-stacksets bootstrap`"}


def test_an_administration_role_that_trusts_somebody_else_is_found(
    phase: CheckedPhase, administrator: Administrator
) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    administrator.api("iam").update_assume_role_policy(
        RoleName="AWSCloudFormationStackSetAdministrationRole", PolicyDocument=json.dumps(trust)
    )

    (finding,) = found(phase, "administration role")

    assert "does not trust cloudformation.amazonaws.com" in finding.what


def test_an_administration_role_that_may_not_assume_execution_roles_is_found(
    phase: CheckedPhase, administrator: Administrator
) -> None:
    administrator.api("iam").delete_role_policy(
        RoleName="AWSCloudFormationStackSetAdministrationRole", PolicyName="assume"
    )

    (finding,) = found(phase, "administration role")

    target = f"arn:aws:iam::{phase.accounts[0]}:role/AWSCloudFormationStackSetExecutionRole"
    assert finding.what.endswith(f"may not assume {target}")


def test_missing_execution_roles_are_one_finding_for_all_accounts(
    phase: CheckedPhase, administrator: Administrator, members: list[str]
) -> None:
    for account in members[:2]:
        administrator.fleet.shut_out(account)

    (finding,) = found(phase, "execution roles")

    assert finding.severity is Severity.ERROR
    assert finding.where == tuple(sorted(members[:2]))


def test_an_execution_role_that_trusts_another_account_is_found(
    phase: CheckedPhase, administrator: Administrator, member: str
) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999999999999:root"}, "Action": "sts:AssumeRole"}
        ],
    }
    account = phase.accounts[0]
    administrator.api("iam", account).update_assume_role_policy(
        RoleName="AWSCloudFormationStackSetExecutionRole", PolicyDocument=json.dumps(trust)
    )

    (finding,) = found(phase, "execution roles")

    assert "does not trust" in finding.what
    assert finding.where == (account,)


def test_the_role_of_service_managed_sets_is_said_to_be_an_administrator(phase: CheckedPhase) -> None:
    managed = dataclasses.replace(phase, permissions=SERVICE_MANAGED)

    (finding,) = CHECKS["execution roles"](managed)

    assert finding.severity is Severity.WARNING
    assert finding.what.endswith("stacksets-exec-*, with AdministratorAccess")


def test_the_pinned_library_takes_no_execution_role_of_ones_own_for_service_managed_sets() -> None:
    """Once it does, hand over our grants, and take back what docs/bootstrap.md and the check say."""
    model = boto3.client("cloudformation", REGION).meta.service_model
    assert "ExecutionRoleTemplateBody" not in model.operation_model("CreateStackSet").input_shape.members


def test_a_plan_role_that_cannot_be_assumed_is_found(phase: CheckedPhase, administrator: Administrator) -> None:
    drop_role(administrator, phase.accounts[1], PLAN_ROLE)

    (finding,) = found(phase, "plan roles")

    assert finding.what.endswith(f"role {PLAN_ROLE} cannot be assumed")
    assert finding.where == (phase.accounts[1],)


def trust_in(account: str, external_id: str = "") -> str:
    condition = {"Condition": {"StringEquals": {"sts:ExternalId": external_id}}} if external_id else {}
    principal = {"AWS": f"arn:aws:iam::{account}:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        (None, "there is none"),
        (lambda _tooling: trust_in("1" * 12), "it does not trust the tooling account {tooling}"),
        (lambda tooling: trust_in(tooling, f"migration-{PHASE}"), "it requires an external id"),
        (lambda tooling: trust_in(tooling, "something-else"), "it requires an external id"),
    ],
    ids=["not there", "no trust", "the phase's external id", "another external id"],
)
def test_a_deploy_role_that_cannot_be_assumed_is_found_with_its_reason(
    phase: CheckedPhase, administrator: Administrator, trust: Callable[[str], str] | None, reason: str
) -> None:
    """AWS refuses alike in each case."""
    account = phase.accounts[1]
    if trust is None:
        drop_role(administrator, account, DEPLOY_ROLE)
    else:
        document = trust(administrator.number)
        administrator.api("iam", account).update_assume_role_policy(RoleName=DEPLOY_ROLE, PolicyDocument=document)

    (finding,) = found(phase, "deploy roles")

    reason = reason.format(tooling=administrator.number)
    assert finding.what == f"the deploy role {DEPLOY_ROLE} cannot be assumed: {reason}"
    assert (finding.severity, finding.where) == (Severity.ERROR, (account,))


def test_the_phase_s_external_id_is_tried_where_nobody_may_look(
    phase: CheckedPhase, administrator: Administrator
) -> None:
    account = phase.accounts[1]
    drop_role(administrator, account, PLAN_ROLE)
    document = trust_in(administrator.number, f"migration-{PHASE}")
    administrator.api("iam", account).update_assume_role_policy(RoleName=DEPLOY_ROLE, PolicyDocument=document)

    (finding,) = found(phase, "deploy roles")

    assert finding.what.endswith("cannot be assumed: it requires an external id")


def test_where_nobody_may_look_all_reasons_are_named(phase: CheckedPhase, administrator: Administrator) -> None:
    """As before the first bootstrap."""
    drop_role(administrator, phase.accounts[1], DEPLOY_ROLE)
    drop_role(administrator, phase.accounts[1], PLAN_ROLE)

    (finding,) = found(phase, "deploy roles")

    assert finding.what.endswith(
        f"it is not there, does not trust {administrator.number}, requires an external id, or these credentials may not"
    )
    assert "docs/bootstrap.md" in finding.remedy


def test_a_deploy_role_without_an_action_of_bootstrap_is_found(
    phase: CheckedPhase, administrator: Administrator
) -> None:
    iam = administrator.api("iam", phase.accounts[1])
    iam.detach_role_policy(RoleName=DEPLOY_ROLE, PolicyArn=ADMINISTRATOR_ACCESS)
    allowed = {"Effect": "Allow", "Action": ["cloudformation:*", "iam:Get*", "iam:TagRole", "iam:Simulate*"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [{**allowed, "Resource": "*"}]})
    iam.put_role_policy(RoleName=DEPLOY_ROLE, PolicyName="some", PolicyDocument=document)

    (finding,) = found(phase, "deploy roles")

    assert finding.what == f"the deploy role {DEPLOY_ROLE} lacks iam:CreateRole, iam:UpdateAssumeRolePolicy"
    assert finding.where == (phase.accounts[1],)


def test_a_deploy_role_that_lets_some_of_the_tooling_account_in_is_well_for_whoever_looks(
    phase: CheckedPhase, administrator: Administrator
) -> None:
    trust = json.loads(trust_in(administrator.number))
    deployer = f"arn:aws:iam::{administrator.number}:role/deployer"
    trust["Statement"][0]["Condition"] = {"ArnLike": {"aws:PrincipalArn": deployer}}
    iam = administrator.api("iam", phase.accounts[1])
    iam.update_assume_role_policy(RoleName=DEPLOY_ROLE, PolicyDocument=json.dumps(trust))
    assert found(phase, "deploy roles") == []


def test_a_deploy_role_of_another_name_is_looked_for_where_the_file_names_it(
    phase: CheckedPhase, administrator: Administrator
) -> None:
    phase.client.deploy_role = lambda account: "theirs" if account == phase.accounts[0] else DEPLOY_ROLE

    (finding,) = found(phase, "deploy roles")

    assert (finding.what, finding.where) == (
        "the deploy role theirs cannot be assumed: there is none",
        (phase.accounts[0],),
    )


def test_an_account_without_its_plan_role_could_not_be_asked_for_its_execution_role(
    phase: CheckedPhase, administrator: Administrator
) -> None:
    drop_role(administrator, phase.accounts[1], PLAN_ROLE)

    (finding,) = found(phase, "execution roles")

    assert (finding.severity, finding.where) == (Severity.UNKNOWN, (phase.accounts[1],))


def test_missing_dms_roles_are_found_where_a_layer_replicates(
    phase: CheckedPhase, administrator: Administrator
) -> None:
    replicating = dataclasses.replace(phase.templates["network"], body='{"Type": "AWS::DMS::ReplicationInstance"}')
    for account in phase.accounts[1:]:
        administrator.lend(account, "dms-vpc-role")
        administrator.lend(account, "dms-cloudwatch-logs-role")

    (finding,) = CHECKS["DMS roles"](dataclasses.replace(phase, templates={"network": replicating}))

    assert finding.what == "DMS lacks dms-vpc-role, dms-cloudwatch-logs-role"
    assert finding.where == (phase.accounts[0],)


def test_a_bucket_that_bootstrap_has_not_made_is_found(phase: CheckedPhase) -> None:
    (finding,) = found(dataclasses.replace(phase, buckets={}), "buckets")

    assert (finding.what, finding.where) == ("no bucket for packages", (REGION,))


def test_what_was_not_read_is_not_said_to_be_missing(phase: CheckedPhase) -> None:
    """The network account's role refuses, or AWS does not answer: what stands there is not known."""
    joined = joined_gateways(phase)
    unread = dataclasses.replace(joined, buckets={}, network={}, shared_problem=AccessDenied("tooling: denied"))
    checks = ("shared stacks", "buckets", "way to on-premises")

    assert [(each.severity, each.what) for name in checks for each in found(unread, name)] == [
        (Severity.ERROR, "tooling: denied"),
        (Severity.UNKNOWN, "whether there is a bucket for packages"),
        (Severity.UNKNOWN, "the way to on-premises: the stack was not read"),
    ]


def test_a_bucket_that_is_gone_is_found(phase: CheckedPhase) -> None:
    (finding,) = found(dataclasses.replace(phase, buckets={REGION: "nowhere-to-be-found"}), "buckets")

    assert "which does not exist" in finding.what


def test_without_a_package_no_account_can_be_asked_to_read_it(phase: CheckedPhase) -> None:
    (finding,) = found(phase, "readers of packages")

    assert (finding.severity, finding.where) == (Severity.UNKNOWN, (REGION,))


def allow_readers(phase: CheckedPhase, administrator: Administrator, accounts: list[str]) -> None:
    """Put the package into the bucket, and let some accounts read it."""
    bucket, s3 = phase.buckets[REGION], administrator.api("s3")
    s3.put_object(Bucket=bucket, Key="rotation-1.zip", Body=b"code")
    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in accounts]},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))


def test_an_account_that_cannot_read_packages_is_found(
    phase: CheckedPhase, administrator: Administrator, members: list[str]
) -> None:
    allow_readers(phase, administrator, members[1:])

    (finding,) = CHECKS["readers of packages"](phase)

    assert finding.severity is Severity.ERROR
    assert finding.where == (members[0],)


def test_packages_that_all_accounts_read_are_well(
    phase: CheckedPhase, administrator: Administrator, members: list[str]
) -> None:
    allow_readers(phase, administrator, members)

    assert list(CHECKS["readers of packages"](phase)) == []


def test_a_region_that_is_not_enabled_is_found(phase: CheckedPhase) -> None:
    wider = phase.rollout.phases[PHASE].model_copy(update={"regions": (REGION, "af-south-1")})
    rollout = phase.rollout.model_copy(update={"phases": {PHASE: wider}})

    (finding,) = CHECKS["regions"](dataclasses.replace(phase, rollout=rollout))

    assert finding.what == "af-south-1 is not enabled"
    assert finding.where == tuple(sorted(phase.accounts))


def test_a_phase_is_checked_by_its_files_and_the_outputs_of_the_shared_stacks(phase: CheckedPhase) -> None:
    rollout = loading.load_rollout_file(Path(__file__).parents[2] / "rollout.yaml")
    shared = SharedOutputs(
        tooling={"us-east-1": {"ArtifactsBucket": "near"}},
        administration={"AdministrationRoleArn": "arn:aws:iam::888888888888:role/ours"},
    )

    examined = CheckedPhase.of(PhaseConnection(rollout, {}, PHASE, "dev", phase.client), shared, None, None)

    assert (examined.suffix, examined.accounts) == ("dev", ("111111111111",))
    assert examined.buckets == {"us-east-1": "near"}
    assert examined.permissions.administration_role_arn == "arn:aws:iam::888888888888:role/ours"
    assert all(key.endswith(".zip") for key in examined.packages)


def test_too_many_stack_sets_are_found(phase: CheckedPhase) -> None:
    many = {f"layer{number}": made(f"layer{number}") for number in range(DEFAULTS[STACK_SETS] + 1)}

    errors = [
        each for each in CHECKS["quotas"](dataclasses.replace(phase, templates=many)) if each.severity is Severity.ERROR
    ]

    assert [each.what for each in errors] == [
        "Stack sets per administrator account: 1,001 are needed, and 1,000 allowed"
    ]


def test_an_inoperable_instance_is_found(
    phase: CheckedPhase, rolled_out: Rollout, administrator: Administrator, members: list[str]
) -> None:
    administrator.fleet.shut_out(members[0])
    rolled_out.run(rolled_out.step(Action.DELETE, [members[0]]))

    (finding,) = found(phase, "instances")

    assert finding.where == (str(Target(members[0], REGION)),)
    assert "remove --phase dev --account" in finding.remedy


@pytest.fixture
def store(phase: CheckedPhase) -> Store:
    return Store(phase.client.objects(REGION), phase.buckets[REGION], SUFFIX)


def begin(store: Store) -> None:
    store.journal.begin(
        Run("20261123T000000Z-abcdef", Command.APPLY, "0123456789ab", "me", "2026-11-23T00:00:00+00:00")
    )


def test_a_run_that_is_under_way_is_a_warning(phase: CheckedPhase, store: Store) -> None:
    begin(store)

    (finding,) = found(dataclasses.replace(phase, store=store), "run")

    assert finding.what == "a run is under way: apply of release 0123456789ab, begun 2026-11-23T00:00:00+00:00"
    assert finding.severity is Severity.WARNING


def test_a_run_that_failed_is_a_warning(phase: CheckedPhase, store: Store) -> None:
    begin(store)
    store.journal.close(good=False)

    (finding,) = found(dataclasses.replace(phase, store=store), "run")

    assert finding.what.startswith("the last run did not reach every instance")


def test_one_check_that_cannot_be_asked_hides_no_other(phase: CheckedPhase) -> None:
    nobody = dataclasses.replace(phase, store=_Unreadable())  # type: ignore[arg-type]

    diagnosis, code = run_doctor(nobody)

    last = diagnosis.checks[-1]
    assert isinstance(last, CheckResult)
    assert [each.severity for each in last.findings] == [Severity.UNKNOWN]
    assert code == 0


class _Unreadable:
    @property
    def journal(self) -> Any:
        from builders.errors import RolloutError

        raise RolloutError("the bucket does not answer")


# Organizations


@pytest.fixture
def organization(cloud: Cloud, number: Callable[[], str]) -> Organization:
    return Organization(cloud, number())


@pytest.fixture
def managed(organization: Organization, phase: CheckedPhase, number: Callable[[], str]) -> CheckedPhase:
    """The phase with service-managed sets, as the management account carries it out."""
    unit = organization.unit("payments")
    accounts = tuple(organization.admit(number(), unit) for _ in range(2))
    return as_seen_by(organization.management, organization.cloud, phase, accounts, "SELF")


def as_seen_by(
    account: str, cloud: Cloud, phase: CheckedPhase, accounts: tuple[str, ...], call_as: str
) -> CheckedPhase:
    permissions = dataclasses.replace(SERVICE_MANAGED, call_as=call_as)
    tooling = phase.rollout.tooling.model_copy(update={"account": account})
    return dataclasses.replace(
        phase,
        client=connect(cloud, account, permissions),
        rollout=phase.rollout.model_copy(update={"tooling": tooling}),
        accounts=accounts,
        permissions=permissions,
    )


def check(phase: CheckedPhase, name: str) -> list[Problem]:
    return list(CHECKS[name](phase))


def test_trusted_access_that_is_off_is_found(managed: CheckedPhase) -> None:
    (finding,) = check(managed, "trusted access")

    assert finding.what.startswith("trusted access of StackSets to the organization is DISABLED")


def test_trusted_access_that_is_on_is_well(managed: CheckedPhase, organization: Organization) -> None:
    organization.of(organization.management, "cloudformation").activate_organizations_access()

    assert check(managed, "trusted access") == []


def test_the_management_account_calls_as_itself(managed: CheckedPhase) -> None:
    assert check(managed, "delegated administrator") == []

    (finding,) = check(
        dataclasses.replace(managed, permissions=dataclasses.replace(SERVICE_MANAGED, call_as="DELEGATED_ADMIN")),
        "delegated administrator",
    )
    assert finding.remedy == "set stacksets.call_as to SELF in rollout.yaml"


def test_a_member_that_calls_as_itself_is_found(managed: CheckedPhase, organization: Organization) -> None:
    member = as_seen_by(managed.accounts[0], organization.cloud, managed, managed.accounts, "SELF")

    (finding,) = check(member, "delegated administrator")

    assert finding.remedy == "set stacksets.call_as to DELEGATED_ADMIN in rollout.yaml"


def test_a_missing_permission_is_not_taken_for_a_missing_registration(
    managed: CheckedPhase, organization: Organization
) -> None:
    member = as_seen_by(managed.accounts[0], organization.cloud, managed, managed.accounts, "DELEGATED_ADMIN")

    (finding,) = check(member, "delegated administrator")

    assert finding.severity is Severity.ERROR
    assert finding.what.startswith("these credentials may not organizations:ListDelegatedAdministrators: StackSets")


def test_a_registered_delegated_administrator_is_well(managed: CheckedPhase, organization: Organization) -> None:
    organization.of(organization.management, "cloudformation").activate_organizations_access()
    organization.api.register_delegated_administrator(
        AccountId=managed.accounts[0], ServicePrincipal="member.org.stacksets.cloudformation.amazonaws.com"
    )
    member = as_seen_by(managed.accounts[0], organization.cloud, managed, managed.accounts, "DELEGATED_ADMIN")

    assert check(member, "delegated administrator") == []


def test_accounts_that_left_or_are_closed_are_found(managed: CheckedPhase, organization: Organization) -> None:
    left, closed = managed.accounts
    organization.api.remove_account_from_organization(AccountId=left)
    organization.api.close_account(AccountId=closed)

    findings = check(managed, "accounts")

    assert {(each.what.split(":")[0], each.where) for each in findings} == {
        ("not in the organization, or not any more", (left,)),
        ("the account is SUSPENDED", (closed,)),
    }


def test_the_management_account_as_a_target_is_found(managed: CheckedPhase, organization: Organization) -> None:
    (finding,) = check(dataclasses.replace(managed, accounts=(organization.management,)), "accounts")

    assert finding.what == "service-managed sets never deploy to the management account"


def test_self_managed_sets_need_no_organization(phase: CheckedPhase) -> None:
    assert check(phase, "accounts") == []


# Zones


def placed(phase: CheckedPhase, **values: str) -> CheckedPhase:
    """The phase with two subnets, an endpoint of DMS and a database, whose zones parameters may choose."""
    zone_ids = {f"ZoneId{number}": {"Type": "String", "Default": ""} for number in (1, 2)}
    subnets = {
        f"Subnet{number}": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {
                "AvailabilityZone": {
                    "Fn::If": ["HasIds", {"Ref": "AWS::NoValue"}, {"Fn::Select": [number - 1, {"Fn::GetAZs": ""}]}]
                },
                "AvailabilityZoneId": {"Fn::If": ["HasIds", {"Ref": f"ZoneId{number}"}, {"Ref": "AWS::NoValue"}]},
            },
        }
        for number in (1, 2)
    }
    service = {"ServiceName": {"Fn::Sub": "com.amazonaws.${AWS::Region}.dms"}, "VpcEndpointType": "Interface"}
    database = {"Engine": "postgres", "DBInstanceClass": "db.r7g.large", "MultiAZ": "true"}
    body = {
        "Metadata": {"Stackferry": {"Scope": "PHASE", "Needs": []}},
        "Parameters": zone_ids,
        "Conditions": {"HasIds": {"Fn::Not": [{"Fn::Equals": [{"Ref": "ZoneId1"}, ""]}]}},
        "Resources": {
            **subnets,
            "Endpoint": {"Type": "AWS::EC2::VPCEndpoint", "Properties": service},
            "Database": {"Type": "AWS::RDS::DBInstance", "Properties": database},
        },
    }
    group = TargetGroup((Target(phase.accounts[0], REGION),), (Source("given", values),))
    return dataclasses.replace(
        phase, templates={"network": read_template("network", json.dumps(body))}, groups=(group,)
    )


def test_what_cannot_be_asked_for_several_layers_is_one_finding(
    phase: CheckedPhase, administrator: Administrator
) -> None:
    drop_role(administrator, phase.accounts[1], PLAN_ROLE)
    logs = {"Named": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "it"}}}
    values = {"EnvironmentSuffix": SUFFIX, "MigrationPhase": PHASE, "CostCenter": "payments"}
    targets = tuple(Target(account, REGION) for account in phase.accounts)
    phase = dataclasses.replace(
        phase,
        templates={layer: made(layer, resources=logs) for layer in ("database", "network")},
        groups=(TargetGroup(targets, (Source("given", values),)),),
    )
    (finding,) = found(phase, "log groups")
    assert (finding.severity, finding.where) == (Severity.UNKNOWN, (phase.accounts[1],))


def test_a_log_group_that_a_template_makes_in_one_account_is_looked_for_there(
    administrator: Administrator, phase: CheckedPhase
) -> None:
    name, second = "/payments/audit", phase.accounts[1]
    group = {"Type": "AWS::Logs::LogGroup", "Condition": "IsSecond", "Properties": {"LogGroupName": name}}
    body = {
        "Conditions": {"IsSecond": {"Fn::Equals": [{"Ref": "AWS::AccountId"}, second]}},
        "Resources": {"Audit": group},
    }
    targets = tuple(Target(account, REGION) for account in phase.accounts)
    layer = dataclasses.replace(made("audit"), body=json.dumps(body))
    phase = dataclasses.replace(phase, templates={"audit": layer}, groups=(TargetGroup(targets, ()),))
    for account in phase.accounts:
        administrator.api("logs", account).create_log_group(logGroupName=name)

    (finding,) = found(phase, "log groups")

    assert finding.where == (second,)


def test_a_log_group_that_rds_has_made_itself_is_found_with_what_to_do(
    administrator: Administrator, phase: CheckedPhase
) -> None:
    name = "/aws/rds/instance/stackferry-database-dev/postgresql"
    logs = {
        "Named": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Fn::Sub": f"{name}"}}},
        "Unnamed": {"Type": "AWS::Logs::LogGroup", "Properties": {}},
    }
    targets = tuple(Target(account, REGION) for account in phase.accounts)
    values = {"EnvironmentSuffix": SUFFIX, "MigrationPhase": PHASE, "CostCenter": "payments"}
    phase = dataclasses.replace(
        phase,
        templates={"database": made("database", resources=logs)},
        groups=(TargetGroup(targets, (Source("given", values),)),),
    )
    assert found(phase, "log groups") == []
    for account in phase.accounts[:2]:
        administrator.api("logs", account).create_log_group(logGroupName=name)

    (finding,) = found(phase, "log groups")

    assert finding == Problem(
        Severity.ERROR,
        f"{name} exists already, and database will make it",
        f"`aws logs delete-log-group --log-group-name {name}` there, or import it into the stack",
        phase.accounts[:2],
    )


def rotated(schedule: str) -> dict[str, Any]:
    """A secret with a rotation function, and a schedule of that logical id."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}}
    code = {"ZipFile": "def handler(event, context):\n    return None\n"}
    function = {"Runtime": "python3.12", "Handler": "index.handler", "Role": {"Fn::GetAtt": "Role.Arn"}, "Code": code}
    invoked = {"Action": "lambda:InvokeFunction", "Principal": "secretsmanager.amazonaws.com"}
    rotation = {
        "SecretId": {"Ref": "Secret"},
        "RotationLambdaARN": {"Fn::GetAtt": "Function.Arn"},
        "RotateImmediatelyOnUpdate": False,
        "RotationRules": {"AutomaticallyAfterDays": 30},
    }
    return {
        "Role": {"Type": "AWS::IAM::Role", "Properties": role},
        "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {"FunctionName": {"Ref": "Function"}, **invoked},
        },
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {}}},
        schedule: {
            "Type": "AWS::SecretsManager::RotationSchedule",
            "DependsOn": "Permission",
            "Properties": rotation,
        },
    }


def test_a_schedule_whose_secret_is_not_rotated_is_found(administrator: Administrator, phase: CheckedPhase) -> None:
    """The clean-up of a schedule that was renamed turns off the rotation that the new one turned on."""
    fleet = administrator.fleet
    account = phase.accounts[0]
    one, other = (made("network", resources=rotated(name)) for name in ("ScheduleX", "ScheduleZ"))
    given = [{"ParameterKey": key, "ParameterValue": "dev"} for key in ("EnvironmentSuffix", "MigrationPhase")]
    fleet.make(json.loads(one.body), Parameters=given, Capabilities=["CAPABILITY_IAM"])
    fleet.deploy([account])
    phase = dataclasses.replace(phase, templates={"network": one})
    assert found(phase, "rotations") == []
    where = {"Accounts": [account], "Regions": [REGION], "Capabilities": ["CAPABILITY_IAM"]}
    assert fleet.run("update_stack_set", TemplateBody=other.body, Parameters=given, **where)["Status"] == "SUCCEEDED"

    (finding,) = found(phase, "rotations")

    assert finding == Problem(
        Severity.ERROR,
        f"network/ScheduleZ stands in {REGION}, and its secret is not rotated",
        "remove ScheduleZ in a release of its own, and put it back in the next one",
        (account,),
    )


def test_zones_that_lack_a_service_or_the_database_s_class_are_found_with_those_that_have_all(
    administrator: Administrator, phase: CheckedPhase
) -> None:
    first, second = ({"ZoneId1": "use1-az2", "ZoneId2": zone} for zone in ("use1-az1", "use1-az6"))
    administrator.cloud.set_faults(
        {"kind": "missing-zone", "zone": "use1-az1", "service": "dms"},
        {"kind": "missing-zone", "zone": "use1-az[34]", "service": "db.r7g.*"},
    )
    try:
        assert found(placed(phase, **second), "zones") == []
        lacking = (
            "zones of the phase lack something: com.amazonaws.us-east-1.dms is not in use1-az1",
            "choose zones by ZoneId1, ZoneId2 and ZoneId3 among use1-az2, use1-az5, use1-az6",
            phase.accounts[:1],
        )
        for chosen in ({}, first):
            (finding,) = found(placed(phase, **chosen), "zones")
            assert (finding.what, finding.remedy, finding.where) == lacking
        (finding,) = found(placed(phase, ZoneId1="use1-az2", ZoneId2="use1-az3"), "zones")
        assert finding.what == "zones of the phase lack something: db.r7g.large is not in use1-az3"
    finally:
        administrator.cloud.set_faults()


def test_a_region_where_a_service_has_no_endpoint_is_found(phase: CheckedPhase) -> None:
    asking = placed(phase)
    body = asking.templates["network"].body.replace(".dms", ".dms-of-tomorrow")
    (finding,) = found(dataclasses.replace(asking, templates={"network": read_template("network", body)}), "zones")
    assert (finding.severity, finding.what, finding.remedy) == (
        Severity.ERROR,
        f"The Vpc Endpoint Service 'com.amazonaws.{REGION}.dms-of-tomorrow' does not exist",
        "leave out the layer that calls it, or the region",
    )


def test_secrets_that_are_not_there_or_about_to_go_are_found(administrator: Administrator, phase: CheckedPhase) -> None:
    first, second, third = phase.accounts
    api = administrator.api("secretsmanager", first)
    arns = [api.create_secret(Name=name, SecretString="{}")["ARN"] for name in ("source", "fallback")]
    missing = f"arn:aws:secretsmanager:{REGION}:{second}:secret:on-premises-AbCdEf"
    given = {
        first: {"SourceSecretArn": arns[0], "FallbackSecretArn": arns[1]},
        second: {"SourceSecretArn": missing},
        third: {"SourceSecretArn": ""},
    }
    text = {"Type": "String", "Default": ""}
    layer = made("network", {"SourceSecretArn": text, "FallbackSecretArn": text})
    groups = tuple(TargetGroup((Target(each, REGION),), (Source("given", values),)) for each, values in given.items())
    asking = dataclasses.replace(phase, templates={"network": layer}, groups=groups)
    nowhere = Problem(
        Severity.ERROR,
        f"SourceSecretArn: there is no secret {missing} in {REGION}",
        "create it there, and write its whole ARN into the values",
        (second,),
    )
    assert found(asking, "secrets") == [nowhere]

    api.delete_secret(SecretId=arns[1])

    going = f"`aws secretsmanager restore-secret --secret-id {arns[1]}` there"
    what = f"FallbackSecretArn: the secret {arns[1]} is scheduled for deletion"
    assert found(asking, "secrets") == [Problem(Severity.ERROR, what, going, (first,)), nowhere]


def test_a_zone_of_another_region_is_found(phase: CheckedPhase) -> None:
    (finding,) = found(placed(phase, ZoneId1="use1-az2", ZoneId2="euw1-az1"), "zones")
    assert (finding.severity, finding.what) == (Severity.ERROR, "us-east-1 has no zone euw1-az1 for the account")


def test_an_interface_with_the_default_group_of_the_phase_s_vpc_is_found(
    administrator: Administrator, phase: CheckedPhase
) -> None:
    account = phase.accounts[0]
    ec2 = administrator.api("ec2", account)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    own = ec2.create_security_group(GroupName="ours", Description="of the phase", VpcId=vpc)["GroupId"]
    ec2.create_tags(Resources=[own], Tags=[{"Key": "Environment", "Value": SUFFIX}])
    ec2.create_network_interface(SubnetId=subnet, Groups=[own])
    assert found(phase, "security groups") == []
    in_vpc = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    (default,) = ec2.describe_security_groups(Filters=in_vpc)["SecurityGroups"]
    using = ec2.create_network_interface(SubnetId=subnet, Groups=[default["GroupId"]])
    interface = using["NetworkInterface"]["NetworkInterfaceId"]

    (finding,) = found(phase, "security groups")

    assert finding == Problem(
        Severity.ERROR,
        f"the default security group of the VPC in {REGION} is used by {interface}",
        "give them a group of their own, and empty that one (docs/compliance.md)",
        (account,),
    )


# The way to on-premises


def joined_gateways(phase: CheckedPhase, associated: str = "", propagated: str = "") -> CheckedPhase:
    """The phase whose network account, the tooling account, has the gateways and the table of its first account."""
    gateway, ids = {"TransitGatewayId": {"Ref": "Gateway"}}, {"Fn::GetAtt": ["Direct", "DirectConnectGatewayId"]}
    direct = {"DirectConnectGatewayName": "d", "AmazonSideAsn": "64513"}
    joined = {
        "AssociatedGatewayId": {"Ref": "Gateway"},
        "DirectConnectGatewayId": ids,
        "AllowedPrefixesToDirectConnectGateway": ["10.0.0.0/8"],
    }
    resources = {
        "Gateway": ("EC2::TransitGateway", {}),
        "Table": ("EC2::TransitGatewayRouteTable", gateway),
        "PhaseTable": ("EC2::TransitGatewayRouteTable", gateway),
        "Direct": ("DirectConnect::DirectConnectGateway", direct),
        "Joined": ("DirectConnect::DirectConnectGatewayAssociation", joined),
    }
    for title, kind, table, attachment in (
        ("Associated", "Association", "Table", associated),
        ("Propagated", "Propagation", "PhaseTable", propagated),
    ):
        if attachment:
            properties = {"TransitGatewayAttachmentId": attachment, "TransitGatewayRouteTableId": {"Ref": table}}
            resources[title] = (f"EC2::TransitGatewayRouteTable{kind}", properties)
    outputs = {
        "TransitGatewayId": gateway["TransitGatewayId"],
        "OnPremisesRouteTableId": {"Ref": "Table"},
        "SharedDirectConnectGatewayId": ids,
        "PhaseRouteTableId": {"Ref": "PhaseTable"},
    }
    body = {
        "Resources": {
            title: {"Type": f"AWS::{kind}", "Properties": properties} for title, (kind, properties) in resources.items()
        },
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    account, network = phase.accounts[0], phase.rollout.tooling.account
    stack = PlainStack(
        "phase_routes",
        Target(network, REGION),
        naming.network_stack("phase_routes", SUFFIX, account),
        json.dumps(body),
        {},
        {},
    )
    deployed = deploy_plain(phase.client, stack).outputs
    shared = SharedAccount(account=network, parameters="network.json")
    connected = {"Connectivity": "TransitGateway"}
    return dataclasses.replace(
        phase,
        rollout=phase.rollout.model_copy(update={"network": shared}),
        templates={"phase_routes": made("phase_routes", scope="NETWORK_PER_PHASE")},
        network={REGION: deployed},
        groups=(TargetGroup((Target(account, REGION),), (Source("given", connected),)),),
    )


def test_an_attachment_that_is_not_associated_or_not_propagated_is_found(
    administrator: Administrator, phase: CheckedPhase
) -> None:
    asked = [{"Name": "resource-type", "Values": ["direct-connect-gateway"]}]

    alone = joined_gateways(phase)
    (attachment,) = administrator.api("ec2").describe_transit_gateway_attachments(Filters=asked)[
        "TransitGatewayAttachments"
    ]
    identifier = attachment["TransitGatewayAttachmentId"]
    named = f"{identifier}, the attachment of the Direct Connect gateway,"
    associated = f"{named} is associated with no table, so that on-premises finds no phase"
    propagated = f"{named} is not propagated to the phase's table, so that the phase finds no on-premises"
    assert [each.what for each in found(alone, "way to on-premises")] == [associated, propagated]

    half = joined_gateways(phase, associated=identifier)
    assert [each.what for each in found(half, "way to on-premises")] == [propagated]
    assert found(joined_gateways(phase, identifier, propagated=identifier), "way to on-premises") == []


def test_a_transit_gateway_without_direct_connect_is_found(phase: CheckedPhase) -> None:
    joined = joined_gateways(phase)
    theirs = {"TransitGatewayId": "tgw-0123456789abcdef0", "OnPremisesRouteTableId": "tgw-rtb-0123456789abcdef0"}

    (own,) = found(
        dataclasses.replace(joined, network={REGION: {**theirs, "SharedDirectConnectGatewayId": "d"}}),
        "way to on-premises",
    )
    (brought,) = found(dataclasses.replace(joined, network={REGION: theirs}), "way to on-premises")

    assert own.what == brought.what
    assert own.what == (
        "no Direct Connect gateway is attached to tgw-0123456789abcdef0, so that on-premises is not reached"
    )
    assert (own.severity, brought.severity) == (Severity.ERROR, Severity.WARNING)
    assert brought.remedy.startswith("associate your Direct Connect gateway with tgw-0123456789abcdef0")


def test_the_one_gateway_that_somebody_attached_is_found_and_of_several_none_is_chosen(phase: CheckedPhase) -> None:
    """For bootstrap, where the gateway is not of its making."""
    joined = joined_gateways(phase)
    network, outputs = Target(phase.rollout.tooling.account, REGION), joined.network[REGION]
    session, gateway = phase.client.deploying(network), outputs["TransitGatewayId"]
    found = networks.usable_attachment(session, gateway, "", "")
    assert found.startswith("tgw-attach-")
    other = {
        "Direct": {
            "Type": "AWS::DirectConnect::DirectConnectGateway",
            "Properties": {"DirectConnectGatewayName": "other", "AmazonSideAsn": "64514"},
        },
        "Joined": {
            "Type": "AWS::DirectConnect::DirectConnectGatewayAssociation",
            "Properties": {
                "AssociatedGatewayId": gateway,
                "DirectConnectGatewayId": {"Fn::GetAtt": ["Direct", "DirectConnectGatewayId"]},
                "AllowedPrefixesToDirectConnectGateway": ["10.0.0.0/8"],
            },
        },
    }
    deploy_plain(phase.client, PlainStack("other", network, "other", json.dumps({"Resources": other}), {}, {}))
    assert networks.usable_attachment(session, gateway, outputs["SharedDirectConnectGatewayId"], "") == found
    with pytest.raises(RolloutError, match=rf"{gateway} in .* has several attachments .*{found}.*; give one as Direct"):
        networks.usable_attachment(session, gateway, "", "")
