"""The actions of the execution role are those that the registry names for the resource types of a phase."""

from __future__ import annotations

import pytest

from builders import resource_types
from builders.layers._execution import registry
from tools import execution_actions, written_files


def test_the_file_beside_the_layer_is_up_to_date() -> None:
    """Otherwise: python -m tools.execution_actions, and build-templates."""
    assert written_files.check("tools.execution_actions", execution_actions.desired_files()) == []


def test_a_new_type_brings_the_actions_of_its_handlers() -> None:
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    assert {"CreateQueue", "DeleteQueue", "GetQueueAttributes", "SetQueueAttributes"} <= set(
        registry.derive([template])["sqs"]
    )


@pytest.mark.parametrize("service", ["redshift", "vpc-lattice", "firehose"])
def test_services_that_no_template_uses_are_left_out(service: str) -> None:
    assert service not in execution_actions.phase_actions()


def test_a_type_without_handlers_in_the_registry_has_its_actions_too() -> None:
    assert "CreateReplicationInstance" in execution_actions.phase_actions()["dms"]


def test_actions_without_a_resource_level_are_kept_apart() -> None:
    actions = {"kms": ("CreateKey", "PutKeyPolicy"), "ec2": ("DescribeVpcs",)}
    assert registry.without_resource_level(actions) == {"kms": ("CreateKey",), "ec2": ("DescribeVpcs",)}


@pytest.mark.parametrize("optional", registry.OPTIONAL, ids=lambda each: f"{each.type} {each.properties[0]}")
def test_an_action_counts_as_soon_as_a_template_sets_its_property(optional: registry.Optional) -> None:
    """Nothing is left out although a template sets what it is for, as once PutLogGroupDeletionProtection was."""
    bare = {"Resources": {"It": {"Type": optional.type}}}
    needed = {f"{service}:{verb}" for service, verbs in registry.derive([bare]).items() for verb in verbs}
    assert needed & set(optional.actions) == set()
    for name in optional.properties:
        using = {"Resources": {"It": {"Type": optional.type, "Properties": {name: "x"}}}}
        found = registry.derive([bare, using])
        assert {f"{service}:{verb}" for service, verbs in found.items() for verb in verbs} >= set(optional.actions)


def test_optional_actions_are_those_of_handlers_and_their_properties_exist() -> None:
    """A misspelt property would leave its actions out for ever."""
    for optional in registry.OPTIONAL:
        schema = resource_types.load(optional.type).schema  # type: ignore[union-attr]
        assert set(optional.properties) <= schema["properties"].keys()
        assert set(optional.actions) <= set(registry.handler_actions(optional.type))


@pytest.mark.parametrize("action", ["CreateNetworkInterfacePermission", "DescribeNetworkInterfaceAttribute"])
def test_resolver_endpoints_bring_what_their_handlers_do_not_name(action: str) -> None:
    template = {"Resources": {"Endpoint": {"Type": "AWS::Route53Resolver::ResolverEndpoint"}}}
    assert action in registry.derive([template])["ec2"]


def test_what_must_stay_is_not_taken_away_by_the_role() -> None:
    found = {f"{service}:{verb}" for service, verbs in execution_actions.phase_actions().items() for verb in verbs}
    assert found & registry.WITHHELD == set()
    assert "logs:PutLogGroupDeletionProtection" in found
