"""A server that keeps its state is taken up where it was, after a crash too."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.cloud.process import running

from .conftest import Account, Template, wait_until_saved
from .test_databases import login


@pytest.fixture
def state_directory() -> Iterator[Path]:
    """A directory that PostgreSQL can reach, which runs as another user when we are root; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="stackferry-kept-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "crash"])
def test_stacks_records_and_databases_are_there_after(number: int, state_directory: Path, database: Template) -> None:
    gateway = {"Gateway": {"Type": "AWS::EC2::TransitGateway"}}
    with running(state_directory=state_directory, keep=True) as cloud:
        account = Account(cloud, "111111111111")
        account.deploy({**database, **gateway})
        identifier = account.physical_id("Gateway")
        with login(account) as session:
            session.run("CREATE TABLE kept AS SELECT 7 AS id")
        account.client("sqs").create_queue(QueueName="last")
        if number == signal.SIGKILL:
            wait_until_saved(cloud)
        os.kill(cloud.pid, number)
    with running(state_directory=state_directory, keep=True) as cloud:
        account = Account(cloud, "111111111111")
        assert account.status("stack") == "CREATE_COMPLETE"
        assert account.physical_id("Gateway") == identifier
        assert account.client("sqs").get_queue_url(QueueName="last")
        with login(account) as session:
            assert session.run("SELECT id FROM kept") == [[7]]
        account.deploy({**database, "Gateway": {**gateway["Gateway"], "Properties": {"Description": "changed"}}})
        assert account.physical_id("Gateway") == identifier
        assert account.delete() == "", "a deleted stack is not described by its name"
