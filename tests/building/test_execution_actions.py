"""The actions of the execution role are those that the registry names for the resource types of a phase."""

from __future__ import annotations

import pytest

from tools import execution_actions

FILE = execution_actions.TARGET


def test_the_file_beside_the_layer_is_up_to_date() -> None:
    """Otherwise: python -m tools.execution_actions, and build-templates."""
    wanted = execution_actions.source(execution_actions.of_the_phase())
    assert FILE.read_text(encoding="utf-8") == wanted


def test_a_new_type_brings_the_actions_of_its_handlers() -> None:
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    assert {"CreateQueue", "DeleteQueue", "GetQueueAttributes", "SetQueueAttributes"} <= set(
        execution_actions.derive([template])["sqs"]
    )


@pytest.mark.parametrize("service", ["redshift", "vpc-lattice", "firehose"])
def test_services_that_no_template_uses_are_passed_over(service: str) -> None:
    assert service not in execution_actions.of_the_phase()


def test_a_type_whose_handlers_the_registry_does_not_tell_has_its_actions_too() -> None:
    assert "CreateReplicationInstance" in execution_actions.of_the_phase()["dms"]


def test_actions_that_iam_does_not_confine_are_told_apart() -> None:
    actions = {"kms": ("CreateKey", "PutKeyPolicy"), "ec2": ("DescribeVpcs",)}
    assert execution_actions.without_resource_level(actions) == {"kms": ("CreateKey",), "ec2": ("DescribeVpcs",)}
