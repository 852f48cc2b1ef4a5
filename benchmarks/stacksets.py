"""StackSets of the embedded cloud with 1,000 instances: `python benchmarks/stacksets.py`; 10,000 with `2500` behind it.

Makes a set of one queue in 250 accounts, or so many as are given, and four regions, updates it, looks for drift and
deletes it, and makes 1,000 plain stacks of the same template, one call after the other, in the same server. Prints the
seconds of each, their ratio to as many plain stacks, the seconds of a processor that the server took to make the
instances, and what its memory grew by; fails when making the instances takes more than two minutes, or twice as long as
making as many plain stacks.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from builders.cloud.process import Cloud, running

ADMINISTRATOR = "111111111111"
ACCOUNTS = [str(200_000_000_000 + number) for number in range(int(sys.argv[1]) if sys.argv[1:] else 250)]
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1"]
INSTANCES = len(ACCOUNTS) * len(REGIONS)
PLAIN_STACKS = 1000
PROCESSOR = "processor"
ALLOWED_SECONDS = 120.0
ALLOWED_RATIO = 2.0
ALL_AT_ONCE = {
    "RegionConcurrencyType": "PARALLEL",
    "MaxConcurrentPercentage": 100,
    "ConcurrencyMode": "SOFT_FAILURE_TOLERANCE",
}


def template(delay: int = 0) -> str:
    """One queue."""
    return json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": delay}}}})


def trust(principal: dict[str, str]) -> str:
    """The trust policy of a role."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def enroll(client: Callable[[str, str], Any]) -> None:
    """Make the roles of self-managed sets."""
    administrator_access = "arn:aws:iam::aws:policy/AdministratorAccess"
    roles = {ADMINISTRATOR: ("Administration", {"Service": "cloudformation.amazonaws.com"})}
    roles |= dict.fromkeys(ACCOUNTS, ("Execution", {"AWS": ADMINISTRATOR}))
    for account, (kind, principal) in roles.items():
        iam, name = client("iam", account), f"AWSCloudFormationStackSet{kind}Role"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(principal))
        iam.attach_role_policy(RoleName=name, PolicyArn=administrator_access)


def megabytes(cloud: Cloud) -> int:
    """The server's memory."""
    status = Path(f"/proc/{cloud.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def processor_seconds(cloud: Cloud) -> float:
    """Processor seconds of the server, whatever else the machine does."""
    fields = Path(f"/proc/{cloud.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def timed(times: dict[str, float], name: str) -> Iterator[None]:
    """Note the seconds of a block."""
    start = time.monotonic()
    yield
    times[name] = time.monotonic() - start


def measure(cloud: Cloud) -> dict[str, float]:
    """Return the seconds of each operation on all instances, and of the plain stacks."""

    def client(service: str, account: str = ADMINISTRATOR) -> Any:
        return boto3.client(service, **cloud.client_arguments(account))

    enroll(client)
    api, times = client("cloudformation"), dict[str, float]()
    api.create_stack_set(StackSetName="small", TemplateBody=template())

    def run(name: str, operation: str, **request: Any) -> None:
        with timed(times, name):
            call = getattr(api, operation)
            started = call(StackSetName="small", OperationPreferences=ALL_AT_ONCE, **request)["OperationId"]
            described: dict[str, Any] = {"Status": "RUNNING"}
            while described["Status"] == "RUNNING":
                time.sleep(0.2)
                answer = api.describe_stack_set_operation(StackSetName="small", OperationId=started)
                described = answer["StackSetOperation"]
        assert described["Status"] == "SUCCEEDED", described

    everywhere = {"Accounts": ACCOUNTS, "Regions": REGIONS}
    with timed(times, "plain stacks"):
        for number in range(PLAIN_STACKS):
            api.create_stack(StackName=f"plain-{number}", TemplateBody=template())
    used = processor_seconds(cloud)
    run("create", "create_stack_instances", **everywhere)
    times[PROCESSOR] = processor_seconds(cloud) - used
    with timed(times, "list"):
        pages = api.get_paginator("list_stack_instances").paginate(StackSetName="small")
        found = [each for page in pages for each in page["Summaries"]]
    assert {each["Status"] for each in found} == {"CURRENT"}, "not every instance is there"
    run("update", "update_stack_set", TemplateBody=template(5))
    run("drift", "detect_stack_set_drift")
    run("delete", "delete_stack_instances", RetainStacks=False, **everywhere)
    return times


def main() -> int:
    """Measure, print, and say by the exit code whether it is fast enough."""
    with running() as cloud:
        before = megabytes(cloud)
        times = measure(cloud)
        grown = megabytes(cloud) - before
    made, used = times.pop("plain stacks"), times.pop(PROCESSOR)
    plain = made / PLAIN_STACKS * INSTANCES
    print(
        f"{PLAIN_STACKS:,} plain stacks: {made:.1f} s; {INSTANCES:,} instances of a set ({len(ACCOUNTS):,} accounts):"
    )
    for name, seconds in times.items():
        print(f"  {name:7} {seconds:5.1f} s, {seconds / plain:.2f} of as many plain stacks")
    ratio = times["create"] / plain
    print(f"  create took {used:.1f} s of a processor")
    print(
        f"memory grew by {grown} MB; allowed are {ALLOWED_SECONDS:.0f} s and {ALLOWED_RATIO:.0f} times the plain stacks"
    )
    return 0 if times["create"] < ALLOWED_SECONDS and ratio < ALLOWED_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
