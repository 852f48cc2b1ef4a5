"""Promises of every layer, whatever it makes: tagged, named, bounded, least privilege, portable, retained."""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from builders import catalog, naming
from builders.building.templates import Format, text_of
from builders.evaluate import EXAMPLE_ACCOUNT, evaluate
from builders.naming import TEMPLATE_LIMIT_BYTES

Template = Callable[[str], dict[str, Any]]

LAYERS = catalog.layer_names()
TAG_KEYS = ["Name", "Environment", "MigrationPhase", "CostCenter", "ComplianceScope"]
LONGEST_SUFFIX = "s" * naming.SUFFIX_MAX_LENGTH

NAMED_BY_AWS = {"dms-vpc-role", "dms-cloudwatch-logs-role"}
"""The exception to every promise about names: DMS looks for these roles under these names, one of each an account, and
`account` makes only what is not there (AWS DMS user guide, "Creating the IAM roles to use with AWS DMS")."""

FUNCTIONS_IN_RULES = {
    *("Fn::And", "Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn", "Fn::Equals"),
    *("Fn::Not", "Fn::Or", "Fn::RefAll", "Fn::ValueOf", "Fn::ValueOfAll"),
}

GLOBAL_TYPES = ("AWS::IAM::", "AWS::CloudWatch::Dashboard")
"""An account has one list of these names for all regions (IAM user guide, "IAM identifiers"; CloudFormation template
reference, "AWS::CloudWatch::Dashboard")."""

LONGEST_REGION = "ap-southeast-2"
"""Of the regions of AWS none has a longer name (AWS regions and Availability Zones, "Regions")."""

SECURITY_GROUPS = {
    "AWS::DMS::ReplicationInstance": ("VpcSecurityGroupIds",),
    "AWS::EC2::VPCEndpoint": ("SecurityGroupIds",),
    "AWS::Lambda::Function": ("VpcConfig", "SecurityGroupIds"),
    "AWS::RDS::DBInstance": ("VPCSecurityGroups",),
    "AWS::Route53Resolver::ResolverEndpoint": ("SecurityGroupIds",),
}
"""The property by which a type names its security groups; without it AWS takes the default group of the VPC."""

WITHOUT_SECURITY_GROUPS = {
    *("AWS::DMS::ReplicationSubnetGroup", "AWS::RDS::DBSubnetGroup"),
    *("AWS::EC2::SubnetNetworkAclAssociation", "AWS::EC2::SubnetRouteTableAssociation"),
    "AWS::EC2::TransitGatewayAttachment",
}
"""Types that name subnets, and put nothing into them that has a security group."""

FIXED = {"CdcStartPosition", "DatabaseName", "EnvironmentSuffix", "VpcCidr", "ZoneId1", "ZoneId2", "ZoneId3"}
"""Parameters of which another value is another phase, another network, another database, or another way to load it."""

pytestmark = pytest.mark.parametrize("layer", LAYERS)


def schema_of(resource_type: str) -> dict[str, Any]:
    schema: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource_type).schema
    return schema


def resources(template: dict[str, Any], *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in template["Resources"].items():
        if not types or resource["Type"] in types:
            yield name, resource


def alternatives(value: Any) -> list[Any]:
    """The values that conditions choose between."""
    if isinstance(value, dict) and "Fn::If" in value:
        return [one for branch in value["Fn::If"][1:] for one in alternatives(branch)]
    return [value]


def lint_data(name: str) -> Any:
    """A table that cfn-lint ships."""
    path = importlib.resources.files("cfnlint.data.AdditionalSpecs") / name
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_resource_that_can_carry_tags_carries_ours(template: Template, layer: str) -> None:
    for name, resource in resources(template(layer)):
        if schema_of(resource["Type"]).get("tagging", {}).get("taggable"):
            tags = resource["Properties"].get("Tags", [])
            keys = list(tags) if isinstance(tags, dict) else [tag["Key"] for tag in tags]
            assert sorted(keys) == sorted(TAG_KEYS), name


def test_every_physical_name_ends_with_the_suffix_and_fits_at_its_longest(template: Template, layer: str) -> None:
    for name, prop, value, schema in physical_names(template(layer)):
        if value in NAMED_BY_AWS:
            continue
        assert LONGEST_SUFFIX in value, f"{name}.{prop} is {value}"
        assert len(value) <= schema.get("maxLength", 63), f"{name}.{prop} is {value}"


def test_a_phase_lives_in_two_regions_of_an_account_without_a_clash_of_global_names(
    template: Template, layer: str
) -> None:
    built = template(layer)
    if built["Metadata"]["Stackferry"]["Scope"] != "PHASE":
        return  # once an account, or in an account where names that must differ are made by `NETWORK_PER_PHASE`
    types = {name: resource["Type"] for name, resource in resources(built)}
    shared = [
        f"{name}.{prop} is {value}"
        for name, prop, value, _ in physical_names(built)
        if types[name].startswith(GLOBAL_TYPES) and LONGEST_REGION not in value
    ]
    assert shared == []


def physical_names(template: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """The names that a template gives: (logical id, property, name at the longest suffix, the property's schema)."""
    given = evaluate_with_guesses(template)
    for name, resource in given.resources.items():
        schema = schema_of(resource["Type"])
        made_by_aws = set(schema.get("readOnlyProperties", []))
        for pointer in chain(schema["primaryIdentifier"], *schema.get("additionalIdentifiers", [])):
            prop = pointer.split("/")[-1]
            value = resource.get("Properties", {}).get(prop)
            is_name = pointer not in made_by_aws and re.search("Name$|Identifier$", prop)
            # A name that is a reference belongs to somebody else, such as the function of a permission.
            if is_name and isinstance(value, str) and not value.startswith("${"):
                yield name, prop, value, schema["properties"][prop]


def evaluate_with_guesses(template: dict[str, Any]) -> Any:
    """The template with every import and every parameter that has no default standing for itself."""
    given = {
        name: str(body["AllowedValues"][0]) if "AllowedValues" in body else f"${{{name}}}"
        for name, body in template["Parameters"].items()
        if "Default" not in body
    }
    given |= {name: "10.0.0.0/16" for name in given if name.endswith("Cidr")}
    given |= {"EnvironmentSuffix": LONGEST_SUFFIX}

    class AnyImport(dict[str, Any]):
        def __contains__(self, _key: object) -> bool:
            return True

        def __getitem__(self, key: str) -> str:
            return f"${{{key}}}"

    return evaluate(template, given, imports=AnyImport(), region=LONGEST_REGION)


def test_nothing_names_an_account_a_region_or_a_partition(template: Template, layer: str) -> None:
    built = template(layer)
    built.pop("Mappings", None)  # its keys are the regions that it tells apart
    text = json.dumps(built)
    assert re.findall(r"arn:aws[:-]|\b\d{12}\b|\b(?:us|eu|ap|ca|sa|af|me|il)-[a-z]+-\d\b", text) == []


def test_the_template_fits_into_a_request(template: Template, layer: str) -> None:
    assert len(text_of(template(layer), Format.JSON).encode()) <= TEMPLATE_LIMIT_BYTES


def test_every_parameter_is_described_and_bounded(template: Template, layer: str) -> None:
    for name, parameter in template(layer)["Parameters"].items():
        assert parameter.get("Description"), name
        assert {"AllowedValues", "AllowedPattern", "MinValue"} & set(parameter), name


def test_no_parameter_takes_a_secret(template: Template, layer: str) -> None:
    suspicious = re.compile("password|secret(?!.*(arn|(key|version)$))|token", re.IGNORECASE)
    assert [name for name in template(layer)["Parameters"] if suspicious.search(name)] == []


def test_conditions_are_named_as_statements(template: Template, layer: str) -> None:
    assert [name for name in template(layer).get("Conditions", {}) if not re.match("(Has|Is)[A-Z]", name)] == []


def test_what_keeps_data_says_what_happens_to_it(template: Template, layer: str) -> None:
    stateful = set(lint_data("StatefulResources.json")["ResourceTypes"]) | {"AWS::Logs::LogGroup"}
    silent = [
        name
        for name, resource in resources(template(layer), *stateful)
        if not {"DeletionPolicy", "UpdateReplacePolicy"} <= set(resource)
    ]
    assert silent == []


def test_what_is_retained_bears_no_given_name(template: Template, layer: str) -> None:
    built = template(layer)
    keeps = ("Retain", "RetainExceptOnCreate")
    retained = {name for name, resource in resources(built) if resource.get("DeletionPolicy") in keeps}
    named = {name for name, _, value, _ in physical_names(built) if value not in NAMED_BY_AWS}
    assert retained & named == set()


def test_logs_are_encrypted_and_do_not_stay_for_ever(template: Template, layer: str) -> None:
    for name, group in resources(template(layer), "AWS::Logs::LogGroup"):
        assert {"KmsKeyId", "RetentionInDays"} <= set(group["Properties"]), name


@pytest.mark.parametrize(
    ("scope", "days", "is_refused"), [("PCI-DSS", "180", True), ("PCI-DSS", "365", False), ("none", "30", False)]
)
def test_logs_are_kept_for_a_year_where_card_data_is_in_scope(
    template: Template, layer: str, scope: str, days: str, is_refused: bool
) -> None:
    built = template(layer)
    if "LogRetentionDays" not in built["Parameters"]:
        assert list(resources(built, "AWS::Logs::LogGroup")) == []
        return
    rule = built["Rules"]["LogsAreKeptForAYear"]
    given = {"ComplianceScope": scope, "LogRetentionDays": days}
    parameters = {name: built["Parameters"][name] for name in given}
    alone = {"Parameters": parameters, "Rules": {"LogsAreKeptForAYear": rule}, "Resources": {}}
    assert bool(evaluate(alone, given).failed_rules) is is_refused


def test_whatever_stands_in_a_subnet_names_its_security_groups(template: Template, layer: str) -> None:
    for name, resource in resources(template(layer)):
        properties = resource.get("Properties", {})
        if not re.search(r'"\w*Subnet(Id|Group)\w*":', json.dumps(properties)):
            continue
        if resource["Type"] not in WITHOUT_SECURITY_GROUPS:
            groups = functools.reduce(lambda value, key: value[key], SECURITY_GROUPS[resource["Type"]], properties)
            assert groups not in ([], ""), name


def test_nothing_uses_the_default_security_group_of_the_vpc(template: Template, layer: str) -> None:
    assert "DefaultSecurityGroup" not in json.dumps(template(layer))


def test_roles_get_customer_managed_policies_and_trust_no_wildcard(template: Template, layer: str) -> None:
    for name, role in resources(template(layer), "AWS::IAM::Role"):
        assert "Policies" not in role["Properties"], name
        for document in alternatives(role["Properties"]["AssumeRolePolicyDocument"]):
            for statement in document["Statement"]:
                assert "*" not in json.dumps(statement["Principal"]), name


def test_every_allowed_action_is_named_and_every_wildcard_resource_has_its_reason(
    template: Template, layer: str
) -> None:
    for name, policy in resources(template(layer), "AWS::IAM::ManagedPolicy"):
        reasons = policy.get("Metadata", {}).get("WildcardReasons", {})
        allowed = [item for item in statements(policy) if item["Effect"] == "Allow"]
        assert [item["Sid"] for item in allowed if any("*" in action for action in item["Action"])] == [], name
        assert {item["Sid"] for item in allowed if "*" in item["Resource"]} == set(reasons), name


def test_an_action_without_resource_level_is_allowed_on_everything(template: Template, layer: str) -> None:
    """IAM denies such an action in silence when the statement names a resource."""
    services = lint_data("Policies.json")
    for name, policy in resources(template(layer), "AWS::IAM::ManagedPolicy"):
        for item in statements(policy):
            for service, action in (entry.split(":") for entry in item["Action"]):
                if not services[service]["Actions"][action.lower()].get("Resources"):
                    assert item["Resource"] == ["*"], f"{name}: {service}:{action}"


def statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = policy["Properties"]["PolicyDocument"]["Statement"]
    return [each for item in found for each in alternatives(item) if "Effect" in each]


def test_what_other_layers_import_hangs_on_no_parameter_that_may_change(template: Template, layer: str) -> None:
    """CloudFormation changes no export that is imported: a parameter that replaces what is exported could only be
    changed by taking down whoever imports it."""
    imported = json.dumps([template(name) for name in LAYERS])
    built = template(layer)
    exports = {name: output for name, output in built.get("Outputs", {}).items() if "Export" in output}
    used = {
        name: output["Value"]
        for name, output in exports.items()
        if json.dumps({"Fn::ImportValue": output["Export"]["Name"]}) in imported
    }
    changing = {name: causes for name, value in used.items() if (causes := set(causes_of(value, built)) - FIXED)}
    assert changing == {}


def causes_of(value: Any, built: dict[str, Any]) -> Iterator[str]:
    """The parameters that a value shows, or whose change replaces the resource that it shows."""
    for name in names_in(value):
        if name in built["Parameters"]:
            yield name
        elif name in built["Resources"]:
            resource = built["Resources"][name]
            paths = schema_of(resource["Type"]).get("createOnlyProperties", ())
            fixed = {path.split("/")[2] for path in paths} & resource["Properties"].keys()
            for each in fixed:
                yield from (found for found in names_in(resource["Properties"][each]) if found in built["Parameters"])


def names_in(value: Any) -> set[str]:
    """The parameters and resources that a value refers to, but not those of a condition in it."""
    found = re.findall(r'"Ref": "(\w+)"|"Fn::GetAtt": \["(\w+)"|\$\{(\w+)\}', json.dumps(value))
    return set(chain.from_iterable(found)) - {""}


def test_functions_run_tested_files_in_the_vpc_with_their_own_encrypted_log(template: Template, layer: str) -> None:
    for name, function in resources(template(layer), "AWS::Lambda::Function"):
        properties = function["Properties"]
        assert set(properties["Code"]) == {"S3Bucket", "S3Key", "S3ObjectVersion"}, name
        assert {"KmsKeyArn", "LoggingConfig", "VpcConfig", "Timeout"} <= set(properties), name


def test_no_event_of_cloudformation_outlives_its_stack_s_wait_or_is_sent_to_anybody(
    template: Template, layer: str
) -> None:
    """Whoever has an event's ResponseURL can answer in the function's place; a late event undoes what came since."""
    for _, resource in resources(template(layer)):
        if not resource["Type"].startswith("Custom::"):
            continue
        function = resource["Properties"]["ServiceToken"]["Fn::GetAtt"][0]
        found = dict(resources(template(layer), "AWS::Lambda::EventInvokeConfig"))[f"{function}FailedEvents"]
        assert found["Properties"] == {
            "FunctionName": {"Ref": function},
            "Qualifier": "$LATEST",
            "MaximumEventAgeInSeconds": resource["Properties"]["ServiceTimeout"],
        }


def test_event_bridge_calls_functions_by_the_arn_of_a_rule_alone(template: Template, layer: str) -> None:
    """With SourceAccount its calls have failed in silence, so that no metric came and nobody was told why
    (github.com/awsdocs/aws-cloudformation-user-guide, pull request 481)."""
    for name, permission in resources(template(layer), "AWS::Lambda::Permission"):
        if permission["Properties"]["Principal"] == "events.amazonaws.com":
            named = {key for key in permission["Properties"] if key.startswith("Source")}
            assert named == {"SourceArn"}, name


@pytest.mark.parametrize("given", [True, False])
def test_functions_name_the_version_and_the_signers_of_their_package_where_these_are_given(
    template: Template, layer: str, given: bool
) -> None:
    signers = f"arn:aws:lambda:us-east-1:{EXAMPLE_ACCOUNT}:code-signing-config:csc-{'0' * 17}"
    body = template(layer)
    versions = {name: "3sL4kqtJ" for name in body["Parameters"] if name.endswith("PackageVersion")}
    values = {name: "x" for name, each in body["Parameters"].items() if "Default" not in each}
    for name, function in resources(body, "AWS::Lambda::Function"):
        asked = {key: function["Properties"][key] for key in ("Code", "CodeSigningConfigArn")}
        alone = {"Resources": {name: {"Type": function["Type"], "Properties": asked}}}
        chosen = versions | {"CodeSigningConfigArn": signers} if given else {}
        found = evaluate(body | alone | {"Outputs": {}}, values | chosen).resources[name]["Properties"]
        named = found["Code"].get("S3ObjectVersion"), found.get("CodeSigningConfigArn")
        assert named == (("3sL4kqtJ", signers) if given else (None, None)), name


def test_rules_use_the_functions_that_cloudformation_knows_there(template: Template, layer: str) -> None:
    """Conditions know more, Fn::Join among them, and no linter tells (CloudFormation template reference, "Rules")."""
    used = set(re.findall(r'"(Fn::\w+|Condition)"', json.dumps(template(layer).get("Rules", {}))))
    assert used <= FUNCTIONS_IN_RULES


def test_rules_speak_in_sentences_that_say_what_to_do(template: Template, layer: str) -> None:
    for name, rule in template(layer).get("Rules", {}).items():
        for assertion in rule["Assertions"]:
            assert len(assertion["AssertDescription"].split()) > 5, name


def test_a_parameter_bounds_every_role_that_the_execution_role_makes(template: Template, layer: str) -> None:
    built = template(layer)
    if built["Metadata"]["Stackferry"]["Scope"] != "PHASE":
        return  # made by whoever deploys plain stacks
    bounded = {
        "Fn::If": [
            "HasPermissionsBoundary",
            {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/${PermissionsBoundary}"},
            {"Ref": "AWS::NoValue"},
        ]
    }
    roles = dict(resources(built, "AWS::IAM::Role"))
    unbounded = [name for name, role in roles.items() if role["Properties"].get("PermissionsBoundary") != bounded]
    assert unbounded == []
