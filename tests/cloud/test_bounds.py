"""State does not grow without end. The bounds are large, so each test lowers one, in a process of its own."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import Any

import warm


def printed(program: str) -> Any:
    """The last line that a program prints, as JSON."""
    answer = warm.run([sys.executable, "-c", textwrap.dedent(program)])
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def test_the_last_deleted_stacks_are_remembered_and_stacks_that_are_there_all() -> None:
    names, events = printed("""
        import asyncio, json
        from builders.cloud import patches
        from builders.cloud.cloudformation import stacks
        from builders.cloud.internals import cloudformation

        stacks.DELETED_STACKS = 2
        patches.apply([stacks])
        body = '{"Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}'

        async def call(action, name, **more):
            cloudformation.action_handlers[action]({"StackName": [name], **more})
            while cloudformation.stacks[name]["StackStatus"].endswith("_IN_PROGRESS"):
                await asyncio.sleep(0)
            for _ in range(3):
                await asyncio.sleep(0)

        async def main():
            await call("CreateStack", "stays", TemplateBody=[body])
            for name in ("one", "two", "three", "four", "two"):
                if name == "four":
                    stacks._deletions.cache_clear()  # as in a server that finds what another one kept
                await call("CreateStack", name, TemplateBody=[body])
                await call("DeleteStack", name)

        asyncio.run(main())
        events = [name.split("/")[1] for name in cloudformation.stack_events]
        names = sorted(each["StackName"] for each in cloudformation.stacks.values())
        print(json.dumps([names, events]))
    """)
    assert names == ["four", "stays", "two"]
    assert events == ["stays", "four", "two"]


def test_the_last_operations_of_a_set_are_remembered_and_those_that_run_all() -> None:
    kept = printed("""
        import json
        from builders.cloud.stacksets import queue
        from builders.cloud.stacksets.model import Operation, Result, StackSet

        queue.RESULTS = 5
        stack_set = StackSet("name", "111111111111", "us-east-1", "{}", {}, {}, [], [])
        for name, status in {"a": "RUNNING", "b": "FAILED", "c": "SUCCEEDED", "d": "SUCCEEDED", "e": "FAILED"}.items():
            operation = Operation(name, "CREATE", {}, {}, None, "")
            operation.become(status)
            operation.results = {(each, "us-east-1"): Result(each, "us-east-1", "") for each in "123"}
            stack_set.operations[name] = operation
        queue._forget(stack_set)
        print(json.dumps(list(stack_set.operations)))
    """)
    assert kept == ["a", "d", "e"]
