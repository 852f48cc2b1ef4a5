"""Hazards of one stack's update, and their remedies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders.stack_diff.comparison import compare
from builders.stack_diff.hazards import STATEFUL, Hazard, HazardKind, hazards_of
from builders.template_bodies import DeployedStack

from .changing import HERE, Resources, compared, deployed, layer, phase_values, released, template

TOPIC = {"Type": "AWS::SNS::Topic"}
VPC = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}


def found(before: Resources, after: Resources, **more: Any) -> tuple[Hazard, ...]:
    return hazards_of("layer", compared(before, after), **more)


def only(kind: HazardKind, all_of_them: tuple[Hazard, ...]) -> dict[str, Hazard]:
    return {hazard.resource: hazard for hazard in all_of_them if hazard.kind is kind}


@pytest.mark.parametrize("kind", sorted(STATEFUL))
@pytest.mark.parametrize(
    ("policy", "words"),
    [("Retain", "leaves the stack: {lost}; the old one stays, outside the stack"),
     ("Delete", "is removed: {lost}; nothing of it stays"),
     ("Snapshot", "is removed: {lost}; a snapshot of it stays")],
)  # fmt: skip
def test_the_removal_of_what_holds_data_is_acknowledged(kind: str, policy: str, words: str) -> None:
    before = {"Thing": {"Type": kind, "DeletionPolicy": policy}, "Other": TOPIC}
    if kind == "AWS::KMS::Key" and policy != "Retain":
        words = "is removed: {lost}; it can be called back for 7 to 30 days"
    expected = Hazard(
        HazardKind.STATEFUL,
        "layer",
        "Thing",
        f"Thing ({kind}) {words.format(lost=STATEFUL[kind])}",
        "leave Thing in the template, and its condition true, or acknowledge layer/Thing",
        acknowledgeable=True,
    )
    assert found(before, {"Other": TOPIC}) == (expected,)


def test_a_database_without_a_deletion_policy_leaves_a_snapshot_unless_it_is_of_a_cluster() -> None:
    alone = {"Type": "AWS::RDS::DBInstance"}
    clustered = {"Type": "AWS::RDS::DBInstance", "Properties": {"DBClusterIdentifier": "cluster"}}
    messages = {each.resource: each.message for each in found({"A": alone, "B": clustered, "C": TOPIC}, {"C": TOPIC})}
    assert messages["A"].endswith("; a snapshot of it stays")
    assert messages["B"].endswith("; nothing of it stays")


def test_growth_that_is_taken_away_is_said_to_go_on() -> None:
    (hazard,) = only(
        HazardKind.NO_EFFECT, hazards_of("database", released("database", MaxAllocatedStorageGiB="0"))
    ).values()
    assert hazard == Hazard(
        HazardKind.NO_EFFECT,
        "database",
        "Database",
        "Database loses MaxAllocatedStorage, which does nothing: RDS keeps the limit, and the storage grows on",
        "set the limit to the present size by modify-db-instance, then acknowledge database/Database",
        acknowledgeable=True,
    )
    assert not only(HazardKind.NO_EFFECT, hazards_of("database", released("database", MaxAllocatedStorageGiB="900")))


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({"AllocatedStorageGiB": "90"}, "AllocatedStorage from 100 to 90: Invalid storage size"),
        ({"AllocatedStorageGiB": "109"}, "AllocatedStorage from 100 to 109: Invalid storage size"),
        ({"AllocatedStorageGiB": "110"}, None),
        ({"EngineVersion": "16"}, "EngineVersion from 17.4 to 16: Cannot upgrade postgres from 17.4"),
        ({"EngineVersion": "17.2"}, "EngineVersion from 17.4 to 17.2: Cannot upgrade postgres from"),
        ({"EngineVersion": "17"}, None),
        ({"EngineVersion": "17.6"}, None),
        ({"EngineVersion": "18"}, "EngineVersion from 17.4 to 18: The AllowMajorVersionUpgrade flag"),
        ({"EngineVersion": "18", "AllowMajorVersionUpgrade": "true"}, None),
    ],
)
def test_what_rds_refuses_to_change_is_refused_before_the_update(values: dict[str, str], refused: str | None) -> None:
    """A rollback to a release from before an upgrade is one: its update would fail half-way."""
    before = phase_values(AllocatedStorageGiB="100", MaxAllocatedStorageGiB="900", EngineVersion="17.4")
    stack = DeployedStack(layer("database"), before, "UPDATE_COMPLETE")
    found = only(HazardKind.REFUSED, hazards_of("database", compare(stack, layer("database"), before | values, HERE)))
    assert not refused or found["Database"].message.startswith(f"Database cannot change {refused}")
    assert [each.acknowledgeable for each in found.values()] == ([False] if refused else [])


def test_a_replication_instance_does_not_go_back_to_an_earlier_engine_version() -> None:
    before = {"ReplicationEngineVersion": "3.6.1"}
    comparison = released("migration", values_before=before, ReplicationEngineVersion="3.5.4")
    assert only(HazardKind.REFUSED, hazards_of("migration", comparison))["ReplicationInstance"].message == (
        "ReplicationInstance cannot change EngineVersion from 3.6.1 to 3.5.4: DMS takes no replication instance back "
        "to an earlier engine version"
    )


def test_what_a_key_keeps_for_ever_is_refused_before_the_update() -> None:
    def key(**properties: Any) -> Resources:
        return {"Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {}, **properties}}}

    (hazard,) = found(key(), key(MultiRegion=True))
    assert hazard.message == "Key cannot change MultiRegion from its default to true: a key keeps it for ever"
    assert (hazard.kind, hazard.acknowledgeable) == (HazardKind.REFUSED, False)
    assert found(key(), key(MultiRegion=False, KeySpec="SYMMETRIC_DEFAULT", Description="of the phase")) == ()


def test_a_replaced_database_names_the_property_and_whether_a_snapshot_stays() -> None:
    (hazard,) = hazards_of("database", released("database", DatabaseName="ledger"))[1:]
    assert hazard.message == (
        "Database (AWS::RDS::DBInstance) is replaced, by DBName: a new database is empty; a snapshot of it stays"
    )
    assert hazard.remedy == "do not change DBName, or acknowledge database/Database"
    assert hazard.acknowledgeable


def test_a_replaced_database_goes_by_its_update_replace_policy() -> None:
    def database(name: str) -> Resources:
        policies = {"DeletionPolicy": "Snapshot", "UpdateReplacePolicy": "Delete"}
        return {"Database": {"Type": "AWS::RDS::DBInstance", **policies, "Properties": {"DBName": name}}}

    (hazard,) = found(database("a"), database("b"))
    assert hazard.message.endswith("; nothing of it stays")


def test_a_task_that_follows_its_instance_says_what_not_to_replace() -> None:
    def change(resources: dict[str, Any]) -> None:
        resources["ReplicationInstance"]["Properties"]["PubliclyAccessible"] = True

    hazard = only(HazardKind.STATEFUL, hazards_of("migration", released("migration", change)))["ReplicationTask"]
    assert hazard.remedy == "do not replace ReplicationInstance, or acknowledge migration/ReplicationTask"


def test_a_database_that_grows_is_no_hazard() -> None:
    assert hazards_of("database", released("database", AllocatedStorageGiB="50", MultiAZ="true")) == ()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"PasswordLength": 40}, "GenerateSecretString.PasswordLength"),
        ({"ExcludeCharacters": "x"}, "GenerateSecretString.ExcludeCharacters"),
        ({"SecretStringTemplate": '{"username": "other"}'}, "GenerateSecretString.SecretStringTemplate"),
    ],
)
def test_any_key_of_a_generated_secret_makes_a_new_password(change: dict[str, Any], cause: str) -> None:
    def changed(resources: dict[str, Any]) -> None:
        resources["DatabaseSecret"]["Properties"]["GenerateSecretString"].update(change)

    (hazard,) = hazards_of("secrets", released("secrets", changed))
    assert (hazard.kind, hazard.resource, hazard.acknowledgeable) == (
        HazardKind.GENERATED_SECRET,
        "DatabaseSecret",
        True,
    )
    assert hazard.message == f"DatabaseSecret gets a new password, by {cause}, and loses what its attachment added"


def test_other_properties_of_a_secret_leave_its_password() -> None:
    def changed(resources: dict[str, Any]) -> None:
        resources["DatabaseSecret"]["Properties"]["Description"] = "new"

    assert hazards_of("secrets", released("secrets", changed)) == ()


def named(**properties: Any) -> Resources:
    return {"Thing": {"Type": "AWS::SNS::Topic", "Properties": properties}}


def test_a_named_resource_is_not_replaced_under_its_name() -> None:
    (hazard,) = found(named(TopicName="a", FifoTopic=False), named(TopicName="a", FifoTopic=True))
    expected = Hazard(
        HazardKind.CUSTOM_NAME,
        "layer",
        "Thing",
        "Thing is named a, and FifoTopic requires replacing it: "
        "cannot update a stack when a custom-named resource requires replacing",
        "change TopicName too (another suffix), or remove Thing in a release of its own first",
        acknowledgeable=False,
    )
    assert hazard == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (named(FifoTopic=False), named(FifoTopic=True)),
        (named(TopicName="a", FifoTopic=False), named(TopicName="b", FifoTopic=True)),
        (named(TopicName="a", FifoTopic=False), named(FifoTopic=True)),
    ],
)
def test_a_resource_without_a_name_or_with_a_new_one_is_replaced(before: Resources, after: Resources) -> None:
    assert found(before, after) == ()


def test_a_type_that_deletes_first_is_replaced_under_the_same_identity() -> None:
    def integration(kind: str) -> Resources:
        properties = {"IntegrationName": "search", "IntegrationType": kind}
        return {"Thing": {"Type": "AWS::Logs::Integration", "Properties": properties}}

    assert found(integration("a"), integration("b")) == ()


def test_a_resource_that_goes_and_one_that_comes_under_another_name_are_no_hazard() -> None:
    def topic(name: str) -> dict[str, Any]:
        return {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}}

    assert found({"Old": topic("a")}, {"New": topic("b")}) == ()


def test_another_type_may_take_the_name() -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "alarms"}}
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "alarms"}}
    assert found({"Old": topic}, {"New": queue}) == ()


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_a_name_that_moves_to_another_logical_id_is_taken(policy: str) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "alarms"}, "DeletionPolicy": policy}
    (hazard,) = found({"Old": topic}, {"New": topic})
    assert (hazard.kind, hazard.resource, hazard.acknowledgeable) == (HazardKind.CUSTOM_NAME, "New", False)
    assert hazard.message.startswith("New takes the name alarms from Old: ")
    assert hazard.remedy == "keep the logical id Old, or remove Old in a release of its own first"


def test_another_type_under_the_same_logical_id_is_not_permitted() -> None:
    (hazard,) = found({"Thing": TOPIC}, {"Thing": {"Type": "AWS::SQS::Queue"}})
    assert (hazard.kind, hazard.acknowledgeable) == (HazardKind.TYPE_CHANGE, False)
    assert hazard.message == (
        "Thing changes from AWS::SNS::Topic to AWS::SQS::Queue: update of resource type is not permitted"
    )


def test_a_custom_resource_keeps_its_service_token() -> None:
    def custom(token: Any) -> Resources:
        return {"Check": {"Type": "Custom::Check", "Properties": {"ServiceToken": token}}}

    (hazard,) = found(custom("one"), custom("two"))
    assert (hazard.kind, hazard.resource, hazard.acknowledgeable) == (HazardKind.SERVICE_TOKEN, "Check", False)


def test_a_subnet_does_not_move_to_another_zone_with_its_range() -> None:
    def subnet(zone: str, cidr: str = "10.0.0.0/24") -> Resources:
        properties = {"VpcId": "vpc-1", "CidrBlock": cidr, "AvailabilityZone": zone}
        return {"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": properties}}

    (hazard,) = found(subnet("a"), subnet("b"))
    assert (hazard.kind, hazard.resource, hazard.acknowledgeable) == (HazardKind.ALREADY_EXISTS, "Subnet", False)
    assert found(subnet("a"), subnet("b", "10.0.1.0/24")) == ()


def test_a_subnet_that_goes_to_another_vpc_keeps_its_range() -> None:
    properties = {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}
    subnet = {"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": properties}}
    wider = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/15"}}
    assert found({"Vpc": VPC, **subnet}, {"Vpc": wider, **subnet}) == ()


def test_a_rotation_schedule_that_is_renamed_turns_rotation_off() -> None:
    """cloudformation-coverage-roadmap#1813: nothing refuses it, and the stack holds a schedule."""
    secret = {"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {}}}}
    rules = {"RotationRules": {"AutomaticallyAfterDays": 30}}

    def schedule(of: str, **more: Any) -> dict[str, Any]:
        properties = {"SecretId": {"Ref": of}, **rules}
        return {"Type": "AWS::SecretsManager::RotationSchedule", "Properties": properties, **more}

    before = {**secret, "ScheduleX": schedule("Secret")}
    (hazard,) = found(before, {**secret, "ScheduleZ": schedule("Secret")})
    assert (hazard.kind, hazard.resource, hazard.acknowledgeable) == (HazardKind.ROTATION_OFF, "ScheduleZ", True)
    assert hazard.message.startswith("ScheduleX is removed and ScheduleZ added for the same secret")
    other = {**secret, "Other": secret["Secret"]}
    assert found({**before, **other}, {**other, "ScheduleZ": schedule("Other")}) == ()
    kept = {**secret, "ScheduleX": schedule("Secret", DeletionPolicy="Retain")}
    assert found(kept, {**secret, "ScheduleZ": schedule("Secret")}) == ()


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::EC2::Subnet", {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24"}),
        ("AWS::EC2::Route", {"RouteTableId": "rtb-1", "DestinationCidrBlock": "10.0.0.0/8"}),
        ("AWS::EC2::NetworkAclEntry", {"NetworkAclId": "acl-1", "RuleNumber": 100, "Egress": True}),
        ("AWS::EC2::SecurityGroupIngress", {"GroupId": "sg-1", "IpProtocol": "tcp", "CidrIp": "10.0.0.0/8"}),
        ("AWS::EC2::SecurityGroupIngress", {"GroupId": "sg-1", "FromPort": 5432, "SourceSecurityGroupId": "sg-2"}),
    ],
)
def test_an_identity_that_moves_to_another_logical_id_is_taken(kind: str, properties: dict[str, Any]) -> None:
    before = {"Old": {"Type": kind, "Properties": properties}}
    (hazard,) = found(before, {"New": {"Type": kind, "Properties": properties}})
    assert (hazard.kind, hazard.resource, hazard.acknowledgeable) == (HazardKind.ALREADY_EXISTS, "New", False)
    for name in properties:
        elsewhere = {"New": {"Type": kind, "Properties": {**properties, name: "other"}}}
        assert found(before, elsewhere) == ()


CONNECTED = {"Connectivity": "TransitGateway", "TransitGatewayId": "tgw-0123456789abcdef0"}
FIRST, SECOND = "172.16.0.0/16", "192.168.0.0/24"


@pytest.mark.parametrize(
    ("before", "after", "taken"),
    [
        ((FIRST, SECOND), (SECOND, FIRST), {"1": ("2", "OnPremisesCidr1"), "2": ("1", "OnPremisesCidr2")}),
        ((FIRST, SECOND), (SECOND, ""), {"1": ("2", "")}),
        ((FIRST, ""), (SECOND, FIRST), {"2": ("1", "OnPremisesCidr2")}),
    ],
)
def test_on_premises_ranges_that_change_slots_are_refused_before_aws_does(
    before: tuple[str, str], after: tuple[str, str], taken: dict[str, tuple[str, str]]
) -> None:
    def ranges(first: str, second: str) -> dict[str, str]:
        return {**CONNECTED, "OnPremisesCidr1": first, "OnPremisesCidr2": second}

    comparison = released("network", None, ranges(*before), **ranges(*after))
    routes = {
        name: hazard
        for name, hazard in only(HazardKind.ALREADY_EXISTS, hazards_of("network", comparison)).items()
        if name.startswith("OnPremisesRoute")
    }
    assert {f"OnPremisesRoute{number}": f"OnPremisesRoute{other}" for number, (other, _) in taken.items()} == {
        name: hazard.message.partition(" from ")[2].partition(":")[0] for name, hazard in routes.items()
    }
    for number, (other, parameter) in taken.items():
        kept = (
            f"leave the value of {parameter} where it was"
            if parameter
            else f"keep the logical id OnPremisesRoute{other}"
        )
        assert routes[f"OnPremisesRoute{number}"].remedy.startswith(kept)
        assert not routes[f"OnPremisesRoute{number}"].acknowledgeable


def test_a_range_in_a_free_slot_is_no_hazard() -> None:
    before = {**CONNECTED, "OnPremisesCidr1": FIRST}
    assert hazards_of("network", released("network", None, before, **before, OnPremisesCidr2=SECOND)) == ()


ROUTES = {
    "TransitGatewayId": "tgw-0123456789abcdef0",
    "OnPremisesRouteTableId": "tgw-rtb-0123456789abcdef0",
    "DirectConnectAttachmentId": "tgw-attach-0123456789abcdef0",
}


def test_another_table_of_on_premises_is_acknowledged_first() -> None:
    comparison = released(
        "phase_routes", None, ROUTES, **ROUTES | {"OnPremisesRouteTableId": "tgw-rtb-0123456789abcdef1"}
    )
    (hazard,) = hazards_of("phase_routes", comparison)
    assert hazard == Hazard(
        HazardKind.ROUTES,
        "phase_routes",
        "PhaseToOnPremisesPropagation",
        "PhaseToOnPremisesPropagation goes to another route table, by TransitGatewayRouteTableId: nothing passes "
        "between the phase and on-premises until both use the new one",
        "leave the table as it is, or acknowledge phase_routes/PhaseToOnPremisesPropagation",
        acknowledgeable=True,
    )


def test_another_table_of_a_phase_is_refused_while_its_attachment_stays() -> None:
    comparison = released("phase_routes", None, ROUTES, **ROUTES | {"TransitGatewayId": "tgw-0123456789abcdef1"})
    hazard = only(HazardKind.ALREADY_EXISTS, hazards_of("phase_routes", comparison))["PhaseAssociation"]
    assert (hazard.acknowledgeable, hazard.message) == (
        False,
        "PhaseAssociation is replaced, by TransitGatewayRouteTableId (PhaseRouteTable is replaced), and the new one "
        "would exist beside the old with the same TransitGatewayAttachmentId",
    )


TASK = {"Type": "AWS::DMS::ReplicationTask", "Properties": {"TableMappings": "{}"}}


@pytest.mark.parametrize(
    ("before", "after", "is_hazard"),
    [
        (TASK, {**TASK, "Properties": {"TableMappings": "{1}"}}, True),
        (TASK, {**TASK, "Properties": {"TableMappings": "{}", "Tags": []}}, True),
        (TASK, {**TASK, "DeletionPolicy": "Delete"}, False),
        ({"Type": "AWS::DMS::Endpoint"}, {"Type": "AWS::DMS::Endpoint", "Properties": {"Port": 1}}, True),
        ({"Type": "AWS::DMS::Endpoint"}, {"Type": "AWS::DMS::Endpoint", "Properties": {"Tags": []}}, False),
        (
            {"Type": "AWS::DMS::ReplicationInstance"},
            {"Type": "AWS::DMS::ReplicationInstance", "Properties": {"AllocatedStorage": 5}},
            True,
        ),
        (TASK, None, True),
        ({**TASK, "DeletionPolicy": "Retain"}, None, False),
        (TOPIC, {**TOPIC, "Properties": {"DisplayName": "x"}}, False),
    ],
)
def test_a_running_task_stands_in_the_way_of_what_it_uses(
    before: dict[str, Any], after: dict[str, Any] | None, is_hazard: bool
) -> None:
    others = {"Other": TOPIC}
    comparison = compared({"Thing": before, **others}, {"Thing": after, **others} if after else others)
    running = only(HazardKind.RUNNING_TASK, hazards_of("migration", comparison, task_runs=True))
    assert set(running) == ({"Thing"} if is_hazard else set())
    assert only(HazardKind.RUNNING_TASK, hazards_of("migration", comparison)) == {}


def test_the_remedy_for_a_running_task_names_the_phase() -> None:
    comparison = released("migration", ReplicationInstanceClass="dms.r6i.large")
    (hazard,) = hazards_of("migration", comparison, task_runs=True)
    assert not hazard.acknowledgeable
    assert hazard.remedy == "migrate-database stop --phase dev, apply, then migrate-database resume --phase dev"


@pytest.mark.parametrize(
    ("before", "after", "action"),
    [
        ({"Port": 1}, {"Port": 2}, ", then migrate-database resume --phase PHASE"),
        ({"KmsKeyId": "a"}, {"KmsKeyId": "b"}, ", then migrate-database start --phase PHASE"),
        ({"Port": 1}, None, ""),
    ],
)
def test_what_a_running_task_uses_decides_how_it_goes_on(
    before: dict[str, Any], after: dict[str, Any] | None, action: str
) -> None:
    def endpoint(properties: dict[str, Any]) -> Resources:
        return {"End": {"Type": "AWS::DMS::Endpoint", "Properties": properties}}

    (hazard,) = found(
        {**endpoint(before), "A": TOPIC}, {**(endpoint(after) if after else {}), "A": TOPIC}, task_runs=True
    )
    assert hazard.remedy == f"migrate-database stop --phase PHASE, apply{action}"


def test_a_rule_that_fails_is_reported_with_its_sentence() -> None:
    (hazard,) = hazards_of("database", released("database", AllocatedStorageGiB="100", MaxAllocatedStorageGiB="100"))
    assert (hazard.kind, hazard.acknowledgeable) == (HazardKind.RULE, False)
    assert "MaxAllocatedStorageGiB equals AllocatedStorageGiB" in hazard.message


def test_a_parameter_that_is_too_long_is_refused() -> None:
    values = phase_values(SourceHost="é" * 2049)
    (hazard,) = hazards_of("migration", compare(None, layer("migration"), values, HERE))
    assert (hazard.kind, hazard.resource) == (HazardKind.LIMIT, "SourceHost")
    assert hazard.message == "parameter SourceHost has 4098 bytes; CloudFormation takes 4096"


STUCK = ("CREATE", "UPDATE", "UPDATE_ROLLBACK", "DELETE")


@pytest.mark.parametrize(
    ("status", "way"),
    [
        ("UPDATE_IN_PROGRESS", "wait until it is over"),
        ("UPDATE_ROLLBACK_FAILED", "repair what its events name, then `aws cloudformation continue-update-rollback`"),
        ("UPDATE_FAILED", "roll it back by `aws cloudformation rollback-stack`"),
        ("CREATE_FAILED", "delete it by `aws cloudformation delete-stack`"),
        ("DELETE_FAILED", "delete it by `aws cloudformation delete-stack`"),
    ],
)
def test_a_stack_that_cannot_be_updated_says_so(status: str, way: str) -> None:
    (hazard,) = hazards_of("layer", compare(deployed({"A": TOPIC}, status), template({"A": TOPIC}), {}, HERE))
    assert (hazard.kind, hazard.remedy, hazard.acknowledgeable) == (HazardKind.STACK_STATE, way, False)


def test_a_stack_whose_update_or_rollback_failed_can_be_deleted() -> None:
    failed = [hazards_of("layer", compare(deployed({"A": TOPIC}, f"{each}_FAILED"), "", {}, HERE)) for each in STUCK]
    assert failed == [()] * len(STUCK)
    (under_way,) = hazards_of("layer", compare(deployed({"A": TOPIC}, "UPDATE_IN_PROGRESS"), "", {}, HERE))
    assert under_way.kind is HazardKind.STACK_STATE


def test_a_protected_stack_is_not_deleted_and_is_updated() -> None:
    """StackSets would leave its instance INOPERABLE."""
    stack = replace(deployed({"A": TOPIC}), protected=True)
    (hazard,) = hazards_of("layer", compare(stack, "", {}, HERE))
    assert (hazard.kind, hazard.acknowledgeable) == (HazardKind.STACK_STATE, False)
    assert hazard.message == "termination protection is on: CloudFormation does not delete the stack"
    assert hazards_of("layer", compare(stack, template({"A": TOPIC, "B": TOPIC}), {}, HERE)) == ()


def test_what_cannot_be_acknowledged_comes_first() -> None:
    def secret(length: int) -> Resources:
        properties = {"GenerateSecretString": {"PasswordLength": length}}
        return {"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": properties}}

    comparison = compare(deployed(secret(32), "UPDATE_IN_PROGRESS"), template(secret(40)), {}, HERE)
    kinds = [hazard.kind for hazard in hazards_of("layer", comparison)]
    assert kinds == [HazardKind.STACK_STATE, HazardKind.GENERATED_SECRET]


def test_a_role_that_loses_its_boundary_is_acknowledged() -> None:
    """As by a rollback to a release from before the boundary: the execution role is denied to take it off."""
    role = {"Type": "AWS::IAM::Role", "Properties": {"PermissionsBoundary": "arn:aws:iam::111111111111:policy/b"}}
    free = {"Type": "AWS::IAM::Role", "Properties": {"Description": "free"}}
    hazards = only(HazardKind.BOUNDARY, found({"Role": role, "Other": free}, {"Role": free, "Other": free}))
    assert list(hazards) == ["Role"]
    assert hazards["Role"].acknowledgeable
    assert "loses its boundary arn:aws:iam::111111111111:policy/b" in hazards["Role"].message


def test_a_boundary_that_comes_or_goes_with_its_role_is_no_hazard() -> None:
    role = {"Type": "AWS::IAM::Role", "Properties": {"PermissionsBoundary": "arn:aws:iam::111111111111:policy/b"}}
    free = {"Type": "AWS::IAM::Role", "Properties": {"Description": "free"}}
    assert only(HazardKind.BOUNDARY, found({"Role": free}, {"Role": role})) == {}
    assert only(HazardKind.BOUNDARY, found({"Role": role, "Topic": TOPIC}, {"Topic": TOPIC})) == {}
    removed = hazards_of("access", released("access", PermissionsBoundary=""))
    assert set(only(HazardKind.BOUNDARY, removed)) == {"OperatorRole"}
