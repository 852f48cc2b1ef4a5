"""Templates gone wrong: whatever one is, the answer is CloudFormation's, and the account stays usable."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Account
from .mutations import SOUND, mutated

SAMPLE, WHOLE = 45, 3000
_REFUSALS = ("ValidationError", "InsufficientCapabilitiesException")
_CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


@pytest.fixture
def seeds(whole: bool) -> range:
    """The mutations that are tried: three of each operation in turn."""
    return range(WHOLE if whole else SAMPLE)


def test_the_template_that_mutations_begin_with_is_sound(account: Account) -> None:
    more = {key: value for key, value in SOUND.items() if key != "Resources"}
    assert account.deploy(SOUND["Resources"], sections=more)["Name"]


def test_no_template_breaks_the_server_or_stays_in_progress(account: Account, seeds: range) -> None:
    api = account.client("cloudformation")
    account.deploy({"Queue": {"Type": "AWS::SQS::Queue"}}, "sound")
    wrong = {}
    for seed in seeds:
        try:
            status = _tried(api, seed)
        except ClientError as error:
            refused = error.response["Error"]["Code"] in _REFUSALS
            readable = "cannot read this" not in error.response["Error"]["Message"]
            status = "refused" if refused and readable else str(error)
        except Exception as error:
            status = f"the answer cannot be read: {error}"
        if status not in ("refused", "FAILED") and not status.endswith(("_COMPLETE", "_COMPLETE deleted")):
            wrong[seed] = status
    assert wrong == {}
    assert "sound" in [each["StackName"] for each in api.describe_stacks()["Stacks"]]


def _tried(api: Any, seed: int) -> str:
    """Create, review or update a stack with a mutation; return what becomes of the stack."""
    body, name = mutated(seed), f"s{seed}"
    asked = {"TemplateBody": body, "Capabilities": _CAPABILITIES}
    if seed % 3 == 2:
        api.update_stack(StackName="sound", **asked)
        return str(api.describe_stacks(StackName="sound")["Stacks"][0]["StackStatus"])
    if seed % 3 == 1:
        api.create_change_set(StackName=name, ChangeSetName="c", ChangeSetType="CREATE", **asked)
        status = api.describe_change_set(StackName=name, ChangeSetName="c", IncludePropertyValues=True)["Status"]
        if status != "CREATE_COMPLETE":
            api.delete_stack(StackName=name)
            return str(status)
        api.execute_change_set(StackName=name, ChangeSetName="c")
    else:
        api.create_stack(StackName=name, **asked)
    stack = api.describe_stacks(StackName=name)["Stacks"][0]
    api.delete_stack(StackName=name)
    after = api.describe_stacks(StackName=stack["StackId"])["Stacks"][0]["StackStatus"]
    return f"{stack['StackStatus']} deleted" if after == "DELETE_COMPLETE" else f"{stack['StackStatus']}, then {after}"
