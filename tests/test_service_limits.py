"""The choices that the schemas lack are those of the services' own API models; settings are those of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import botocore.session
import pytest
from botocore.model import ListShape, ServiceModel, Shape, StringShape, StructureShape

from builders import resource_types
from builders.cloud.rds import parameter_groups
from builders.postgresql_settings import NAMES
from builders.resource_types import Json, ResourceType
from builders.service_limits import MODELLED

OPERATIONS = {
    "AWS::CertificateManager::Certificate": ("acm", "RequestCertificate"),
    "AWS::CodeBuild::SourceCredential": ("codebuild", "ImportSourceCredentials"),
    "AWS::Cognito::LogDeliveryConfiguration": ("cognito-idp", "SetLogDeliveryConfiguration"),
    "AWS::Cognito::UserPoolRiskConfigurationAttachment": ("cognito-idp", "SetRiskConfiguration"),
    "AWS::DMS::Endpoint": ("dms", "CreateEndpoint"),
    "AWS::DynamoDB::Table": ("dynamodb", "CreateTable"),
    "AWS::EC2::CustomerGateway": ("ec2", "CreateCustomerGateway"),
    "AWS::ECS::Service": ("ecs", "CreateService"),
    "AWS::ECS::TaskDefinition": ("ecs", "RegisterTaskDefinition"),
    "AWS::ElasticLoadBalancing::LoadBalancer": ("elb", "CreateLoadBalancer"),
    "AWS::Lambda::EventSourceMapping": ("lambda", "CreateEventSourceMapping"),
    "AWS::Logs::DeliveryDestination": ("logs", "PutDeliveryDestination"),
}
"""The call that makes a resource of the type."""

ENUMERATIONS = {"enum", "enumCaseInsensitive", "anyOf", "oneOf", "const"}
"""Keywords of a schema that says something of the values itself."""

WITHOUT_A_MODEL = {("AWS::ElasticLoadBalancing::LoadBalancer", "Scheme")}
"""The model of classic load balancers has no enumeration; the reference of CreateLoadBalancer gives the two words."""


@pytest.mark.parametrize("name", MODELLED)
def test_the_choices_of_a_type_are_those_of_the_call_that_makes_it_and_that_its_schema_lacks(name: str) -> None:
    service, operation = OPERATIONS[name]
    data = botocore.session.get_session().get_component("data_loader").load_service_model(service, "service-2")
    found = resource_types.load(name)
    assert found is not None

    missing = dict(_choices(found, found.schema, ServiceModel(data).operation_model(operation).input_shape, ""))

    ours = {path: set(values) for path, values in MODELLED[name].items() if (name, path) not in WITHOUT_A_MODEL}
    assert ours == {path: values for path, values in missing.items() if not path.endswith("InstanceType")}


def test_the_settings_of_the_postgresql_on_this_machine_are_known() -> None:
    assert set(parameter_groups.parameters()) - NAMES == set()


def _choices(kind: ResourceType, node: Mapping[str, Json], shape: Shape, path: str) -> Iterator[tuple[str, set[str]]]:
    """Each enumeration of a call's input where the schema says nothing of the values."""
    node = kind.resolve(node)
    if isinstance(shape, StructureShape):
        members = {key.lower(): member for key, member in shape.members.items()}
        for key, inner in node.get("properties", {}).items():
            if key.lower() in members and path.count(".") < 6:
                yield from _choices(kind, inner, members[key.lower()], f"{path}.{key}".lstrip("."))
    elif isinstance(shape, ListShape) and "items" in node:
        yield from _choices(kind, node["items"], shape.member, f"{path}.*")
    elif isinstance(shape, StringShape) and shape.enum and not node.keys() & ENUMERATIONS:
        yield path, set(shape.enum)
