"""Every parameter file is held against all layers, and each mistake is reported with its file, line and remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from builders import environments
from builders.building import environment_check
from builders.catalog import Assembly, assemble
from builders.errors import UsageError

ROOT = Path(__file__).parents[2]

MakePackage = Callable[..., ModuleType]

NETWORK = """
from troposphere import Not
from builders import parameters
VPC_ID = Export("network", "VpcId", "the VPC")
def build(stack):
    cidr = stack.parameter(parameters.cidr("VpcCidr", "Range of the VPC"))
    stack.parameter(parameters.choice("Connectivity", "Way to the premises", ["None", "Gateway"], "None"))
    stack.parameter(parameters.identifier("GatewayId", "The gateway", prefix="tgw", optional=True))
    stack.rule(
        "GatewayNeedsId", Not(Equals(Ref("GatewayId"), "")), "Connectivity Gateway needs GatewayId; give its id",
        when=Equals(Ref("Connectivity"), "Gateway"),
    )
    stack.add(sns.Topic("Topic"))
    stack.export(VPC_ID, cidr.ref())
"""
DATABASE = """
from builders import parameters
from .network import VPC_ID
def build(stack):
    stack.parameter(parameters.integer("Port", "Port of the database", minimum=1024, maximum=65535))
    stack.add(sns.Topic("Topic", TopicName=stack.import_value(VPC_ID)))
"""
SHARED = """
from builders import parameters
SCOPE = Scope.NETWORK
def build(stack):
    stack.parameter(parameters.integer("Asn", "Number of the gateway", minimum=64512, maximum=65534))
    stack.rule("Never", Equals("a", "b"), "a is not b")
    stack.add(sns.Topic("Topic"))
"""
DIVIDES = """
from troposphere import Cidr, Select
from builders import parameters
VPC_ID = Export("network", "VpcId", "the VPC")
def build(stack):
    cidr = stack.parameter(parameters.cidr("VpcCidr", "Range of the VPC"))
    stack.add(sns.Topic("Topic", TopicName=Select(0, Cidr(cidr.ref(), 2, 8))))
    stack.export(VPC_ID, cidr.ref())
"""
COMMON = ["EnvironmentSuffix=dev", "MigrationPhase=dev", "CostCenter=1"]
RIGHT = [*COMMON, "VpcCidr=10.0.0.0/16", "Port=5432"]


Check = Callable[..., list[str]]


@pytest.fixture
def check_against(tmp_path: Path) -> Check:
    """Checks dev.json with the given entries, one a line from line 2 on, and returns what is found."""

    def run(made: Assembly, *entries: str) -> list[str]:
        folder = tmp_path / "environments"
        folder.mkdir(exist_ok=True)
        (folder / "dev.json").write_text(json.dumps(entries, indent=0), encoding="utf-8")
        findings = environment_check.check(folder, made)
        return [f"{Path(found.location).name} {found.rule}: {found.message}" for found in findings]

    return run


@pytest.fixture
def check(check_against: Check, make_layers: MakePackage) -> Check:
    """Checks dev.json against a network and a database."""
    return partial(check_against, assemble(make_layers(network=NETWORK, database=DATABASE)))


def test_a_file_with_all_that_the_layers_ask_for_is_right(check: Check) -> None:
    assert check(*RIGHT) == []


def test_a_key_of_no_layer_is_reported_with_the_closest(check: Check) -> None:
    assert check(*RIGHT, "VPCCIDR=10.0.0.0/16") == [
        "dev.json:7 unknown-parameter: VPCCIDR is a parameter of no layer here, so it would be dropped in silence; "
        "did you mean VpcCidr?"
    ]


def test_a_key_that_is_like_none_should_go(check: Check) -> None:
    assert check(*RIGHT, "Zzz=1") == [
        "dev.json:7 unknown-parameter: Zzz is a parameter of no layer here, so it would be dropped in silence; "
        "remove it"
    ]


def test_a_missing_key_is_reported_with_the_layers_that_need_it_and_its_description(check: Check) -> None:
    assert check(*COMMON, "VpcCidr=10.0.0.0/16") == [
        'dev.json missing-parameter: Port has no value, and no default in database; add "Port=...": '
        "Port of the database"
    ]


def test_what_only_layers_of_other_accounts_need_is_not_missing(check_against: Check, make_layers: MakePackage) -> None:
    made = assemble(make_layers(network=NETWORK, shared=SHARED))
    assert check_against(made, *COMMON, "VpcCidr=10.0.0.0/16") == []


def test_what_is_given_to_layers_of_other_accounts_is_held_against_them(
    check_against: Check, make_layers: MakePackage
) -> None:
    made = assemble(make_layers(network=NETWORK, shared=SHARED))
    assert check_against(made, *COMMON, "VpcCidr=10.0.0.0/16", "Asn=1") == [
        "dev.json:6 parameter-value: Asn='1' is 1, at least 64512 are allowed (shared)"
    ]


ZONED = """
from builders import parameters

def build(stack):
    for number in (1, 2):
        zone = f"ZoneId{number}"
        stack.parameter(parameters.string(zone, "A zone", pattern="^[a-z0-9-]*$", explanation="an id", default=""))
"""


@pytest.mark.parametrize(
    ("zones", "found"),
    [
        (("use1-az1", "use1-az6"), []),
        (("", ""), []),
        (
            ("use1-az1", "euw1-az2"),
            ["6 parameter-value: ZoneId2=euw1-az2 is a zone of eu-west-1, and ZoneId1=use1-az1 in us-east-1"],
        ),
        (("usx9-az1", ""), ["5 parameter-value: ZoneId1=usx9-az1 is a zone of no region"]),
    ],
)
def test_zone_ids_are_of_one_region_that_aws_has(
    check_against: Check, make_layers: MakePackage, zones: tuple[str, str], found: list[str]
) -> None:
    entries = [f"ZoneId{number}={zone}" for number, zone in enumerate(zones, start=1)]
    said = check_against(assemble(make_layers(zoned=ZONED)), *COMMON, *entries)
    assert [each.partition(";")[0] for each in said] == [f"dev.json:{each}" for each in found]


def test_a_wrong_value_is_reported_once_with_all_layers_that_refuse_it(check: Check) -> None:
    assert check(*[entry.replace("Suffix=dev", "Suffix=Dev") for entry in RIGHT]) == [
        "dev.json:2 parameter-value: EnvironmentSuffix='Dev' is not up to 16 lower-case letters and digits, without "
        "hyphens (pattern ^[a-z][a-z0-9]*$) (database, network)"
    ]


def test_a_rule_that_does_not_hold_is_reported_with_the_entries_that_it_looks_at(check: Check) -> None:
    assert check(*RIGHT, "Connectivity=Gateway") == [
        "dev.json:7 template-rule: network: Connectivity Gateway needs GatewayId; give its id "
        "(given: Connectivity='Gateway')"
    ]


def test_an_address_where_a_range_is_asked_for_is_reported_with_the_range(check: Check) -> None:
    assert check(*[entry.replace("10.0.0.0/16", "10.0.9.9/16") for entry in RIGHT]) == [
        "dev.json:5 parameter-value: VpcCidr=10.0.9.9/16 is an address within a range; write 10.0.0.0/16"
    ]


def test_a_rule_that_holds_is_silent(check: Check) -> None:
    assert check(*RIGHT, "Connectivity=Gateway", "GatewayId=tgw-0123456789abcdef0") == []


GATEWAY = """
SCOPE = Scope.NETWORK
def build(stack):
    stack.add(sns.Topic("Topic"))
    stack.output("GatewayId", Ref("Topic"), "The gateway")
"""
BUCKET = """
SCOPE = Scope.TOOLING
def build(stack):
    stack.add(sns.Topic("Topic"))
    stack.output("Bucket", Ref("Topic"), "The bucket")
"""
USES_BUCKET = """
from builders import parameters
def build(stack):
    stack.add(sns.Topic("Topic", TopicName=stack.parameter(parameters.identifier("Bucket", "It", prefix="b")).ref()))
"""


def test_what_other_accounts_put_out_is_known_by_its_name_and_said_so(
    check_against: Check, make_layers: MakePackage, tmp_path: Path
) -> None:
    """The network account's outputs are for those that its transit gateway connects; any phase takes the others."""
    network = NETWORK.replace('"Gateway"', '"TransitGateway"')
    made = assemble(make_layers(network=network, gateway=GATEWAY, bucket=BUCKET, function=USES_BUCKET))
    entries = [*COMMON, "VpcCidr=10.0.0.0/16"]
    assert check_against(made, *entries, "Connectivity=TransitGateway") == []
    assert environment_check.named_values(tmp_path / "environments", made) == (
        f"outputs of other stacks, taken as known: Bucket of bucket and GatewayId of gateway ({tmp_path}/environments"
        "/dev.json); a rollout hands them on, by hand write-outputs --into does"
    )
    assert check_against(made, *entries, "Connectivity=None") == []
    assert "GatewayId" not in environment_check.named_values(tmp_path / "environments", made)
    assert check_against(made, *entries, "Bucket=b-01234567") == []
    assert environment_check.named_values(tmp_path / "environments", made) == ""


def test_a_rule_is_not_asked_about_a_value_that_is_wrong_by_itself(check: Check) -> None:
    (finding,) = check(*RIGHT, "Connectivity=Gatewai")
    assert finding.startswith("dev.json:7 parameter-value: Connectivity='Gatewai' is not one of the allowed values")


def test_a_function_that_cannot_be_computed_is_reported(check_against: Check, make_layers: MakePackage) -> None:
    made = assemble(make_layers(network=DIVIDES))
    assert check_against(made, *COMMON, "VpcCidr=10.0.0.0/24") == [
        "dev.json template-refuses: network: Fn::Cidr finds 1 ranges of 8 host bits in 10.0.0.0/24, not 2"
    ]


def test_a_layer_that_imports_from_one_that_does_not_work_out_is_not_asked(
    check_against: Check, make_layers: MakePackage
) -> None:
    made = assemble(make_layers(network=DIVIDES, database=DATABASE))
    (finding,) = check_against(made, *COMMON, "VpcCidr=10.0.0.0/24", "Port=5432")
    assert finding.startswith("dev.json template-refuses: network: ")


def test_a_key_is_not_unknown_while_a_layer_that_may_declare_it_is_broken(
    check_against: Check, make_layers: MakePackage
) -> None:
    made = assemble(make_layers(network=NETWORK, database="import nowhere"))
    assert check_against(made, *RIGHT) == []


def test_a_file_that_is_no_list_does_not_hide_the_others(check: Check, tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "broken.json").write_text("[\n", encoding="utf-8")
    broken, unknown = check(*RIGHT, "Zzz=1")
    assert broken.startswith("broken.json:2 parameter-file: ")
    assert unknown.startswith("dev.json:7 unknown-parameter: ")


def test_ranges_are_compared_across_files(check: Check, tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    prod = [entry.replace("=dev", "=prod") for entry in RIGHT]
    (tmp_path / "environments" / "prod.json").write_text(json.dumps(prod), encoding="utf-8")
    (finding,) = check(*RIGHT)
    assert finding.startswith("prod.json:1 overlapping-ranges: VpcCidr=10.0.0.0/16 overlaps VpcCidr=10.0.0.0/16 of ")


# Paths through the network, in the templates of this repository


INSTANCE = """
from troposphere import If, Not, NoValue, rds
from builders import parameters
def build(stack):
    size = stack.parameter(parameters.integer("SizeGiB", "Storage", minimum=20, maximum=65536, default=20))
    most = stack.parameter(parameters.integer("MostGiB", "Growth; 0 for none", minimum=0, maximum=65536, default=0))
    iops = stack.parameter(parameters.integer("Iops", "Iops; 0 for none", minimum=0, maximum=65536, default=0))
    any_text = {"pattern": ".*", "explanation": "any"}
    backup = stack.parameter(parameters.string("Backup", "Window", default="03:00-03:30", **any_text))
    upkeep = stack.parameter(parameters.string("Upkeep", "Window", default="", **any_text))
    stack.add(rds.DBInstance(
        "Database", Engine="postgres", DBInstanceClass="db.t4g.micro", StorageType="gp3", AllocatedStorage=size.ref(),
        MaxAllocatedStorage=If(stack.condition("HasGrowth", Not(Equals(most.ref(), "0"))), most.ref(), NoValue),
        Iops=If(stack.condition("HasIops", Not(Equals(iops.ref(), "0"))), iops.ref(), NoValue),
        PreferredBackupWindow=backup.ref(), PreferredMaintenanceWindow=upkeep.ref(),
        MasterUsername="payments", ManageMasterUserPassword=True,
    ))
"""
OVERLAP = "The backup window and maintenance window must not overlap."
SMALL = "You can't specify IOPS or storage throughput for engine postgres and a storage size less than 400."


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (["Backup=04:00-04:30", "Upkeep=sun:04:15-sun:04:45"], OVERLAP),
        (["Backup=23:45-00:15", "Upkeep=mon:00:00-mon:00:30"], OVERLAP),
        (["Backup=04:00-04:10"], "The backup window must be at least 30 minutes."),
        (["Upkeep=sun:04:00-sun:04:10"], "The maintenance window must be at least 30 minutes."),
        (["SizeGiB=100", "MostGiB=109"], "The maximum allocated storage must be increased by at least 10 percent."),
        (["SizeGiB=100", "Iops=12000"], SMALL),
        (["SizeGiB=400", "Iops=3000"], "Invalid iops for engine name postgres and storage type gp3: 3000"),
        (["SizeGiB=400", "MostGiB=440", "Iops=12000", "Upkeep=sun:03:30-sun:04:00"], ""),
    ],
)
def test_what_rds_would_refuse_is_reported_in_its_words_with_the_entries_that_it_comes_from(
    check_against: Check, make_layers: MakePackage, given: list[str], answer: str
) -> None:
    found = check_against(assemble(make_layers(database=INSTANCE)), *COMMON, *given)
    shown = ", ".join(f"{key}={value!r}" for key, value in sorted(each.split("=", 1) for each in given))
    expected = [f"dev.json:5 service-refuses: database: AWS answers {answer!r} (given: {shown})"]
    assert found == (expected if answer else [])


REPLICATION = """
from troposphere import cloudwatch, dms
from builders import parameters
def build(stack):
    any_text = {"pattern": ".*", "explanation": "any"}
    name = stack.parameter(parameters.string("Class", "Class", default="dms.t3.medium", **any_text))
    upkeep = stack.parameter(parameters.string("Upkeep", "Window", default="sun:04:00-sun:04:30", **any_text))
    bound = {"minimum": -100, "maximum": 100_000}
    size = stack.parameter(parameters.integer("SizeGiB", "Storage", default=50, **bound))
    periods = stack.parameter(parameters.integer("Periods", "Periods", default=5, **bound))
    operator = stack.parameter(parameters.string("Operator", "Operator", default="GreaterThanThreshold", **any_text))
    stack.add(dms.ReplicationInstance(
        "Instance", ReplicationInstanceClass=name.ref(), PreferredMaintenanceWindow=upkeep.ref(),
        AllocatedStorage=size.ref(),
    ))
    stack.add(cloudwatch.Alarm(
        "Alarm", Namespace="AWS/RDS", MetricName="CPUUtilization", Statistic="Average", Period=300, Threshold=80,
        EvaluationPeriods=periods.ref(), ComparisonOperator=operator.ref(),
    ))
"""
DAY = "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400)."
STORAGE = (
    "1 validation error detected: Value '7000' at 'allocatedStorage' failed to satisfy constraint: Member must have "
    "value less than or equal to 6144"
)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("Class=db.t3.medium", "Invalid replication instance class: db.t3.medium"),
        ("Upkeep=sun:04:00-sun:04:20", "The maintenance window must be at least 30 minutes."),
        ("SizeGiB=7000", STORAGE),
        ("Periods=300", DAY),
    ],
)
def test_numbers_and_windows_of_other_services_are_judged_likewise(
    check_against: Check, make_layers: MakePackage, given: str, answer: str
) -> None:
    key, value = given.split("=")
    assert check_against(assemble(make_layers(migration=REPLICATION)), *COMMON, given) == [
        f"dev.json:5 service-refuses: migration: AWS answers {answer!r} (given: {key}={value!r})"
    ]


def test_a_value_that_the_declaration_takes_and_the_schema_refuses_is_reported(
    check_against: Check, make_layers: MakePackage
) -> None:
    assert check_against(assemble(make_layers(migration=REPLICATION)), *COMMON, "Operator=Greater") == [
        "dev.json:5 schema-refuses: migration: CloudFormation refuses Alarm: #/ComparisonOperator: Greater is not a "
        "valid enum value (given: Operator='Greater')"
    ]


def test_right_values_of_other_services_are_silent(check_against: Check, make_layers: MakePackage) -> None:
    right = ["Class=dms.r6i.large", "Upkeep=mon:23:45-tue:00:15", "SizeGiB=6144", "Periods=288"]
    assert check_against(assemble(make_layers(migration=REPLICATION)), *COMMON, *right) == []


def test_what_a_dynamic_reference_will_give_is_not_judged(check_against: Check, make_layers: MakePackage) -> None:
    elsewhere = [f"{key}={{{{resolve:ssm:/payments/{key}:1}}}}" for key in ("Class", "Upkeep", "Operator")]
    assert check_against(assemble(make_layers(migration=REPLICATION)), *COMMON, *elsewhere) == []


@pytest.fixture(scope="module")
def ours() -> Assembly:
    return assemble()


def dev(**chosen: str) -> list[str]:
    """The entries of environments/dev.json with others of one's choice."""
    values = environments.read(ROOT / "environments" / "dev.json").values | chosen
    return [f"{key}={value}" for key, value in values.items()]


CONNECTED = {"Connectivity": "TransitGateway", "TransitGatewayId": "tgw-0123456789abcdef0"}


def test_chosen_zones_are_right_and_a_missing_one_is_told_by_the_template_alone(
    check_against: Check, ours: Assembly
) -> None:
    chosen = {**CONNECTED, "ZoneId1": "use1-az6", "ZoneId2": "use1-az1"}
    assert check_against(ours, *dev(**chosen, ZoneId3="use1-az2")) == []
    (found,) = check_against(ours, *dev(**chosen))
    assert "network: Give ZoneId1, ZoneId2 and, where ZoneCount is 3, ZoneId3, each another zone" in found


def test_logs_of_card_data_that_are_kept_for_less_than_a_year_are_refused_by_every_layer_that_has_some(
    check_against: Check, ours: Assembly
) -> None:
    found = check_against(ours, *dev(LogRetentionDays="180"))
    with_logs = [layer for layer, template in ours.templates.items() if "LogRetentionDays" in template["Parameters"]]
    assert sorted(each.partition("template-rule: ")[2].partition(":")[0] for each in found) == sorted(with_logs)


def test_an_application_range_that_is_let_in_is_right(check_against: Check, ours: Assembly) -> None:
    assert check_against(ours, *dev(**CONNECTED, ApplicationCidr1="172.16.4.0/24")) == []


def test_an_application_range_that_the_network_acl_shuts_is_refused(check_against: Check, ours: Assembly) -> None:
    clients = ours.templates["clients"]
    without = {name: body for name, body in clients["Resources"].items() if name != "AnswersToApplicationRange1"}
    shut = Assembly(**vars(ours) | {"templates": ours.templates | {"clients": clients | {"Resources": without}}})
    assert check_against(shut, *dev(**CONNECTED, ApplicationCidr1="172.16.4.0/24")) == [
        "dev.json unreachable: application 172.16.4.0/24 to database Database on tcp 5432: the answer: tcp 1024-65535 "
        f"with 172.16.4.0/24 does not pass at network ACL of ${{PrivateSubnet{zone}}}, egress"
        for zone in (1, 2, 3)
    ]


def test_an_application_outside_the_routed_ranges_is_refused_with_the_parameter_to_set(
    check_against: Check, ours: Assembly
) -> None:
    assert check_against(ours, *dev(**CONNECTED, ApplicationCidr2="10.99.0.0/20")) == [
        "dev.json unreachable: application 10.99.0.0/20 to database Database on tcp 5432: no route to 10.99.0.0/20; "
        "ApplicationRoute2=true makes one at route table ${PrivateRouteTable}"
    ]


def test_a_folder_that_is_not_there_is_wrong_use(tmp_path: Path, make_layers: MakePackage) -> None:
    made = assemble(make_layers(network=NETWORK))
    with pytest.raises(UsageError, match=r"^no folder .*nowhere here; run from the project's root or say --env"):
        environment_check.check(tmp_path / "nowhere", made)


def test_the_boundary_of_another_environment_is_found(check: Check) -> None:
    """A file that began as a copy of dev's would give the roles of pr-7 the boundary of dev."""
    right = [each for each in RIGHT if not each.startswith("EnvironmentSuffix=")]
    copied = check(*right, "EnvironmentSuffix=pr-7", "PermissionsBoundary=stackferry-boundary-dev")
    message = "PermissionsBoundary=stackferry-boundary-dev is another environment's; write stackferry-boundary-pr-7"
    assert [each.partition(": ")[2] for each in copied if "another environment" in each] == [message]
    own = check(*right, "EnvironmentSuffix=pr-7", "PermissionsBoundary=stackferry-boundary-pr-7")
    assert [each for each in own if "another environment" in each] == []


@pytest.mark.parametrize("suffix", ["content", "rollout"])
def test_a_suffix_that_is_a_folder_of_all_phases_is_found(check: Check, suffix: str) -> None:
    right = [each for each in RIGHT if not each.startswith("EnvironmentSuffix=")]
    shared = "a folder that all phases share in the bucket of artifacts; choose another suffix"
    found = [each.partition(": ")[2] for each in check(*right, f"EnvironmentSuffix={suffix}")]
    assert found == [f"EnvironmentSuffix={suffix} is {shared}"]
    assert check(*right, f"EnvironmentSuffix={suffix}2") == []
