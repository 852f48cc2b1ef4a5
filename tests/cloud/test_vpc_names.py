"""Functions resolve the names of their VPC: endpoints while they are there, on-premises while it runs, nothing else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from builders.cloud.rds.on_premises import on_premises

from .conftest import Account, Template

ENDPOINT = "dms.us-east-1.amazonaws.com"
SOURCE = "payments.corp.internal"

FUNCTION = """
import os, socket, ssl

def handler(event, context):
    try:
        plain = socket.create_connection((event["host"], event["port"]), timeout=3)
        if not event.get("tls"):
            return "connected"
        context = ssl.create_default_context(cafile=os.environ["CA_BUNDLE"])
        with context.wrap_socket(plain, server_hostname=event["host"]) as encrypted:
            request = f"GET /_ministack/health HTTP/1.0\\r\\nHost: {event['host']}\\r\\n\\r\\n"
            encrypted.sendall(request.encode())
            return encrypted.recv(15).decode()
    except OSError as error:
        return type(error).__name__
"""

Call = Callable[[Mapping[str, Any]], str]


@pytest.fixture
def call(account: Account, lambda_role: Template) -> Call:
    return call_of(account, lambda_role)


def call_of(account: Account, lambda_role: Template | None = None) -> Call:
    """Call a function of the account, made with the role if it is not there, with a destination; its answer is what
    became of it."""
    client = account.client("lambda")
    if lambda_role is not None:
        _make_function(account, lambda_role)
    return lambda event: str(json.load(client.invoke(FunctionName="names", Payload=json.dumps(event))["Payload"]))


def _make_function(account: Account, lambda_role: Template) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("index.py", FUNCTION)
    account.deploy(lambda_role, stack="role", sections={"Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}}})
    role = account.client("cloudformation").describe_stacks(StackName="role")["Stacks"][0]["Outputs"][0]["OutputValue"]
    account.client("lambda").create_function(
        FunctionName="names", Runtime="python3.13", Handler="index.handler", Role=role, Timeout=30,
        Code={"ZipFile": archive.getvalue()},
    )  # fmt: skip


def endpoint(vpc: Template, *, private_dns: bool = True) -> Template:
    properties = {"VpcId": {"Ref": "Vpc"}, "VpcEndpointType": "Interface", "PrivateDnsEnabled": private_dns,
                  "ServiceName": "com.amazonaws.us-east-1.dms", "SubnetIds": [{"Ref": "SubnetA"}]}  # fmt: skip
    vpc["Vpc"]["Properties"] |= {"EnableDnsSupport": True, "EnableDnsHostnames": True}
    return {**vpc, "Endpoint": {"Type": "AWS::EC2::VPCEndpoint", "Properties": properties}}


def test_an_endpoint_answers_over_verified_tls_under_the_services_name(
    account: Account, vpc: Template, call: Call
) -> None:
    account.deploy(endpoint(vpc))
    assert call({"host": ENDPOINT, "port": 443, "tls": True}) == "HTTP/1.1 200 OK"[:15]


def test_a_service_without_an_endpoint_has_no_name(account: Account, vpc: Template, call: Call) -> None:
    assert call({"host": ENDPOINT, "port": 443}) == "gaierror"
    account.deploy(endpoint(vpc))
    account.delete()
    assert call({"host": ENDPOINT, "port": 443}) == "gaierror"


def test_an_endpoint_without_private_dns_has_no_name(account: Account, vpc: Template, call: Call) -> None:
    account.deploy(endpoint(vpc, private_dns=False))
    assert call({"host": ENDPOINT, "port": 443}) == "gaierror"


def test_on_premises_is_reached_by_its_name_while_it_runs_and_on_its_port_only(account: Account, call: Call) -> None:
    with on_premises(account.cloud.state_directory, SOURCE):
        assert call({"host": SOURCE, "port": 5432}) == "connected"
        assert call({"host": SOURCE.upper(), "port": 5433}) == "ConnectionRefusedError"
    assert call({"host": SOURCE, "port": 5432}) == "gaierror"


def test_no_other_name_resolves(call: Call) -> None:
    assert call({"host": "example.com", "port": 443}) == "gaierror"


def test_the_command_runs_on_premises_until_it_is_ended(account: Account, call: Call) -> None:
    directory = str(account.cloud.state_directory)
    command = [sys.executable, "-m", "builders.cloud.rds.on_premises", "--state-dir", directory, "--host", "by.hand"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        secret = json.loads(program.stdout.readline())["secret"]
        assert (secret["host"], secret["port"]) == ("by.hand", 5432)
        assert call({"host": "by.hand", "port": 5432}) == "connected"
        program.terminate()
        assert program.wait(60) == 0
    assert call({"host": "by.hand", "port": 5432}) == "gaierror"
