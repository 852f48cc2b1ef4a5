"""A server that keeps its state is taken up where it was, after a crash too."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from warm import run, running

from builders.cloud.process import LOG

from .conftest import Account, Template, until, wait_until_saved
from .test_databases import login
from .test_vpc_names import ENDPOINT, call_of, endpoint


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


def test_objects_with_their_versions_and_the_endpoints_of_functions_are_there_after(
    state_directory: Path, vpc: Template, lambda_role: Template
) -> None:
    bucket, key = "kept-objects", "packages/function.zip"
    with running(state_directory=state_directory, keep=True) as cloud:
        account = Account(cloud, "111111111111")
        s3 = account.client("s3")
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        versions = [
            s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"bytes": str(len(body))})["VersionId"]
            for body in (b"one", b"\x00\xff")
        ]
        s3.delete_object(Bucket=bucket, Key=key)
        s3.put_object(Bucket=bucket, Key="current", Body=b"three", Tagging="kept=yes")
        account.deploy(endpoint(vpc))
        call = call_of(account, lambda_role)
        assert call({"host": ENDPOINT, "port": 443, "tls": True}) == "HTTP/1.1 200 OK"
        wait_until_saved(cloud)
        os.kill(cloud.pid, signal.SIGKILL)
    with running(state_directory=state_directory, keep=True) as cloud:
        account = Account(cloud, "111111111111")
        s3 = account.client("s3")
        listed = s3.list_object_versions(Bucket=bucket)
        assert [each["VersionId"] for each in listed["Versions"] if each["Key"] == key] == versions[::-1]
        assert [each["Key"] for each in listed["DeleteMarkers"]] == [key]
        for version, body in zip(versions, (b"one", b"\x00\xff"), strict=True):
            found = s3.get_object(Bucket=bucket, Key=key, VersionId=version)
            assert (found["Body"].read(), found["Metadata"]["bytes"]) == (body, str(len(body)))
        assert s3.get_object(Bucket=bucket, Key="current")["Body"].read() == b"three"
        assert s3.get_object_tagging(Bucket=bucket, Key="current")["TagSet"] == [{"Key": "kept", "Value": "yes"}]
        assert call_of(account)({"host": ENDPOINT, "port": 443, "tls": True}) == "HTTP/1.1 200 OK"
        s3.delete_object(Bucket=bucket, Key=key, VersionId=versions[0])
        wait_until_saved(cloud)
        needed = {hashlib.sha256(body).hexdigest() for body in (b"\x00\xff", b"three")}
        until(lambda: {each.name for each in (state_directory / "state" / "contents").iterdir()} == needed)


def test_a_server_that_stops_before_its_first_save_leaves_a_directory_that_the_next_one_saves_in(
    state_directory: Path,
) -> None:
    with running(state_directory=state_directory, keep=True):
        pass
    with running(state_directory=state_directory, keep=True) as cloud:
        Account(cloud, "111111111111").client("sqs").create_queue(QueueName="last")
        wait_until_saved(cloud)
        os.kill(cloud.pid, signal.SIGKILL)
    with running(state_directory=state_directory, keep=True) as cloud:
        assert Account(cloud, "111111111111").client("sqs").get_queue_url(QueueName="last")


def test_a_second_server_on_the_directory_is_refused_in_one_line(state_directory: Path) -> None:
    with running(state_directory=state_directory) as cloud:
        command = [sys.executable, "-m", "builders.cloud", "--port", "0", "--state-dir", str(state_directory)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (second.returncode, second.stdout) == (2, "")
        assert second.stderr == (
            f"builders.cloud: state directory {state_directory} is in use by another embedded cloud; stop that one, or "
            "choose another directory\n"
        )
        assert Account(cloud, "111111111111").client("sqs").list_queues()


SAVE_BESIDE_A_THREAD = """
import os, sys, threading
os.environ.update(PERSIST_STATE="1", STATE_DIR=sys.argv[1])
from builders.cloud.internals import server
from builders.cloud.server import state

ours, theirs, refusals = {str(n): n for n in range(20_000)}, {}, [RuntimeError("dictionary changed size")] * 3
state.keep("test", {"store": {"ours": ours}})

def state_of():
    if refusals:
        raise refusals.pop()
    return theirs

server.state_to_save = lambda: {"sqs": state_of}
over = threading.Event()

def work():
    number = 20_000
    while not over.is_set():
        ours[str(number)] = number
        ours.pop(str(number - 100), None)
        number += 1

threading.Thread(target=work, daemon=True).start()
saved = [state.save() for _ in range(5)]
over.set()
assert saved == [True] * 5, saved
"""


def test_a_thread_that_adds_to_what_is_being_saved_ends_no_save(tmp_path: Path) -> None:
    """Nothing would be saved from then on, and nobody told."""
    program = tmp_path / "save_beside_a_thread.py"
    program.write_text(SAVE_BESIDE_A_THREAD, encoding="utf-8")
    ran = run([str(program), str(tmp_path / "state")])
    assert (ran.returncode, ran.stderr) == (0, "")


def copy_without_link(state: Path) -> None:
    current = state / "current"
    saved = current.resolve()
    current.unlink()
    saved.rename(current)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda state: (state / "current" / "stackferry.json").write_text('{"__ministack_format__": 2, "payl'),
    "a service's, which ministack passes over": lambda state: (state / "current" / "sqs.json").write_bytes(b"\xff"),
    "of another version": lambda state: (state / "current" / "stackferry.json").write_text(
        '{"__ministack_format__": 2, "payload": {"databases": {}, "rooms": {"unknown": {"store": {}}}}}'
    ),
    "without its objects": lambda state: shutil.rmtree(state / "contents"),
    "copied without its link": copy_without_link,
    "away": lambda state: shutil.rmtree((state / "current").resolve()),
}


def test_state_that_is_not_whole_is_refused_in_one_line_and_stays(state_directory: Path) -> None:
    with running(state_directory=state_directory, keep=True) as cloud:
        account, state = Account(cloud, "111111111111"), state_directory / "state"
        account.client("s3").create_bucket(Bucket="kept-whole")
        account.client("s3").put_object(Bucket="kept-whole", Key="key", Body=b"body")
        account.client("sqs").create_queue(QueueName="last")
        wait_until_saved(cloud)
    whole = state_directory.with_name(f"{state_directory.name}-whole")
    shutil.copytree(state, whole, symlinks=True)
    try:
        for damage in DAMAGES.values():
            shutil.rmtree(state)
            shutil.copytree(whole, state, symlinks=True)
            damage(state)
            left = sorted(state.rglob("*"))
            command = [sys.executable, "-m", "builders.cloud", "--keep", "--port", "0", "--state-dir"]
            refused = run([*command, str(state_directory)])
            assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1), refused.stderr
            assert f"what {state} keeps is damaged, or of another version" in refused.stderr
            assert sorted(state.rglob("*")) == left
    finally:
        shutil.rmtree(whole)


def test_a_save_that_is_not_possible_is_made_later(state_directory: Path) -> None:
    """As on a full disk; the save before stays until then."""
    with running(state_directory=state_directory, keep=True) as cloud:
        in_the_way = state_directory / "state" / "next"
        s3 = Account(cloud, "111111111111").client("s3")
        s3.create_bucket(Bucket="kept-later")
        wait_until_saved(cloud)
        before = (state_directory / "state" / "current").resolve()
        in_the_way.mkdir()
        s3.put_object(Bucket="kept-later", Key="key", Body=b"body")
        log = state_directory / LOG
        until(lambda: "cannot be saved" in log.read_text())
        assert (state_directory / "state" / "current").resolve() == before
        until(lambda: [each.name for each in before.parent.glob("saved-*")] == [before.name])  # between two tries
        time.sleep(1.2)  # two more of them
        assert log.read_text().count("cannot be saved") == 1
        until(lambda: list((state_directory / "state" / "contents").iterdir()) == [])  # it takes no room
        in_the_way.rmdir()
        wait_until_saved(cloud)
        os.kill(cloud.pid, signal.SIGKILL)
    with running(state_directory=state_directory, keep=True) as cloud:
        in_the_way.mkdir()
        Account(cloud, "111111111111").client("s3").put_object(Bucket="kept-later", Key="other", Body=b"other")
        until(lambda: "cannot be saved" in log.read_text())
        os.kill(cloud.pid, signal.SIGKILL)
    in_the_way.rmdir()
    with running(state_directory=state_directory, keep=True) as cloud:
        body = Account(cloud, "111111111111").client("s3").get_object(Bucket="kept-later", Key="key")["Body"]
        assert body.read() == b"body"
