"""Measures the embedded cloud: python benchmarks/cloud.py. Prints a Markdown table.

How long a stack of 30 schema-made resources takes, beside a stack of 30 resources that bare ministack makes (SNS
topics on a ministack server without our rooms, in the same run); and how the server's memory grows over many stacks
that come and go. Stacks are created and waited for through boto3, asking every 10 ms.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from builders.cloud.process import running

RESOURCES = 30
REPETITIONS = 7
ROUNDS = 300
ACCOUNT = "111111111111"
CREDENTIALS = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "any", "region_name": "us-east-1"}


def main() -> None:
    """Measure and print."""
    with running() as cloud, bare_ministack() as endpoint:
        ours = boto3.client("cloudformation", **cloud.client_arguments(ACCOUNT))
        bare = boto3.client("cloudformation", endpoint_url=endpoint, **CREDENTIALS)
        pairs = [
            (seconds(ours, "AWS::EC2::TransitGateway"), seconds(bare, "AWS::SNS::Topic")) for _ in range(REPETITIONS)
        ]
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = sorted(one / other for one, other in pairs)
        grown = memory_over(ours, cloud.pid)
    print("| what | here | bare ministack | ratio (lowest to highest) |\n|---|---|---|---|")
    print(f"| stack of {RESOURCES} resources, median of {REPETITIONS} | {mine:.2f} s | {theirs:.2f} s | "
          f"{mine / theirs:.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}) |")  # fmt: skip
    print(f"| memory after 50 stacks, and after {ROUNDS} | {grown[0]:.0f} MB, {grown[1]:.0f} MB | | |")


def seconds(api: Any, kind: str, count: int = RESOURCES) -> float:
    """Create a stack of resources of one type, delete it, and return how long the creation took."""
    template = {"Resources": {f"Thing{number}": {"Type": kind} for number in range(count)}}
    begin = time.perf_counter()
    stack = api.create_stack(StackName="measured", TemplateBody=json.dumps(template))["StackId"]
    while settled(api, stack) != "CREATE_COMPLETE":
        time.sleep(0.01)
    taken = time.perf_counter() - begin
    api.delete_stack(StackName=stack)
    while settled(api, stack) != "DELETE_COMPLETE":
        time.sleep(0.01)
    return taken


def settled(api: Any, stack: str) -> str:
    """Return the status of a stack. Raises RuntimeError where it failed."""
    status: str = api.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    if "FAILED" in status or "ROLLBACK" in status:
        raise RuntimeError(f"{stack}: {status}")
    return status


def memory_over(api: Any, pid: int) -> tuple[float, float]:
    """Return the server's resident memory (MB) after the 50th stack that came and went, and after the last."""
    for number in range(ROUNDS):
        seconds(api, "AWS::EC2::TransitGateway", 5)
        if number == 49:
            early = resident(pid)
    return early, resident(pid)


def resident(pid: int) -> float:
    """Return the resident memory of a process in MB (Linux)."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


@contextlib.contextmanager
def bare_ministack() -> Iterator[str]:
    """Run ministack as it comes, and yield its endpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "LOG_LEVEL": "ERROR",
                   "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "DOCKER_HOST": "unix:///nonexistent"}  # fmt: skip
    command = [sys.executable, "-m", "ministack"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        endpoint = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{endpoint}/_ministack/health").close()
                break
            time.sleep(0.05)
        yield endpoint
        server.terminate()


if __name__ == "__main__":
    main()
