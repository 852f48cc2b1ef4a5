"""`migrate-database check` on the embedded cloud: the phase by its outputs, both databases, DMS's own assessment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from builders.migration.cli import main

from .dms_rig import Pair

Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def carried(lasting: Pair) -> Pair:
    lasting.source(
        "CREATE TABLE payments.ledger (id int PRIMARY KEY, note text)", "CREATE TABLE payments.loose (id int)"
    )
    lasting.target(f"GRANT CREATE ON DATABASE {lasting.name} TO owner")
    return lasting


@pytest.fixture(scope="module")
def outputs(carried: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that a deployment of the phase dev wrote, with bucket and role of the assessments."""
    account = carried.site.account
    bucket, role = f"checks-{account.number}", "writes-checks"
    account.client("s3").create_bucket(Bucket=bucket)
    iam = account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "dms.amazonaws.com"}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    may = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps({"Statement": [may]}))
    secrets = account.client("secretsmanager")
    made = json.loads(secrets.get_secret_value(SecretId=account.physical_id("Secret"))["SecretString"])
    login = json.dumps({**made, "host": "localhost", "port": carried.site.database.port})
    master = secrets.create_secret(Name="master", SecretString=login)["ARN"]
    flat = {
        "replicationTaskArn": carried.task().arn, "secretsManagerArn": master, "assessmentBucket": bucket,
        "assessmentRoleArn": arn,
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("outputs")
    (folder / "dev").mkdir()
    (folder / "dev" / "flat-outputs.json").write_text(json.dumps(flat))
    yield folder
    account.client("s3").delete_bucket(Bucket=bucket)
    iam.delete_role_policy(RoleName=role, PolicyName="p")
    iam.delete_role(RoleName=role)


@pytest.fixture
def check(carried: Pair, outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Runs the command as the account that owns the phase."""
    site = carried.site
    for name, value in site.account.cloud.environment(site.account.number).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PGSSLROOTCERT", str(site.account.cloud.ca_file))

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        address = f"127.0.0.1:{site.source.server.port}"
        capsys.readouterr()
        code = main(["check", "--phase", "dev", "--outputs-dir", str(outputs), "--source-address", address,
                     "--watch-seconds", "0", "--json", *words])  # fmt: skip
        seen = capsys.readouterr()
        assert "Traceback" not in seen.err
        assert seen.out, seen.err
        data: dict[str, Any] = json.loads(seen.out)
        return code, data

    return run


def named(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{each['id']}:{each['object']}": each for each in data["findings"]}


def test_a_phase_is_checked_by_its_name_and_dms_assesses_it_too(check: Check) -> None:
    code, data = check()
    found = named(data)
    assert code == 1
    assert found["no-key:payments.loose"]["severity"] == "loses"
    assert "assessment:table-with-no-primary-key-or-unique-constraint" in found
    assert "target-not-read:target" not in found
    assert data["remarks"][0].startswith("DMS's own assessment migrate-database-")


def test_what_is_accepted_by_name_is_accepted_the_next_time(check: Check) -> None:
    _, before = check("--without-assessment")
    names = [name for name, each in named(before).items() if each["severity"] in ("blocks", "loses")]
    code, _ = check("--without-assessment", *(f"--accept={name}" for name in names))
    assert code == 0
    code, after = check("--without-assessment")
    assert (code, after["open"]) == (0, 0)
    assert all(named(after)[name]["accepted"] for name in names)
