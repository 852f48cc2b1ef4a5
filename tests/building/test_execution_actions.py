"""The actions of the execution role are those that the registry names for the resource types of a phase."""

from __future__ import annotations

import pytest

from tools import execution_actions, written_files


def test_the_file_beside_the_layer_is_up_to_date() -> None:
    """Otherwise: python -m tools.execution_actions, and build-templates."""
    assert written_files.check("tools.execution_actions", execution_actions.desired_files()) == []


def test_a_new_type_brings_the_actions_of_its_handlers() -> None:
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    assert {"CreateQueue", "DeleteQueue", "GetQueueAttributes", "SetQueueAttributes"} <= set(
        execution_actions.derive([template])["sqs"]
    )


@pytest.mark.parametrize("service", ["redshift", "vpc-lattice", "firehose"])
def test_services_that_no_template_uses_are_left_out(service: str) -> None:
    assert service not in execution_actions.phase_actions()


def test_a_type_without_handlers_in_the_registry_has_its_actions_too() -> None:
    assert "CreateReplicationInstance" in execution_actions.phase_actions()["dms"]


def test_actions_without_a_resource_level_are_kept_apart() -> None:
    actions = {"kms": ("CreateKey", "PutKeyPolicy"), "ec2": ("DescribeVpcs",)}
    assert execution_actions.without_resource_level(actions) == {"kms": ("CreateKey",), "ec2": ("DescribeVpcs",)}
