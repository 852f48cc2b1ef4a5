"""Packages are what was built: what somebody else puts into the artifacts bucket never becomes a function."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from builders import package
from builders.aws.errors import Conflict
from builders.building import packages as building
from builders.building.packages import PACKAGES_DIR, WHEELS_DIR
from builders.errors import RolloutError
from builders.rollout.executor.context import Report
from builders.rollout.lifecycle.packages import require_packages, require_readers, with_packages
from builders.rollout.model import CurrentState, DesiredState, StackSet, Target
from builders.rollout.state.releases import release_id

from .conftest import Administrator
from .small_phase import SmallPhase, layer_set

EAST, WEST = "us-east-1", "eu-west-1"
NOBODY = CurrentState({})
FORGED = b"PK: somebody else's code"


def say(_line: str) -> None:
    """Progress is not looked at here."""


def template(*without: str) -> str:
    names = ["EnvironmentSuffix", "ArtifactsBucket", "GreetingPackageKey", "GreetingPackageVersion"]
    declared = {name: {"Type": "String", "Default": ""} for name in names if name not in without}
    return json.dumps({"Parameters": declared, "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}})


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> package.Function:
    """The one function of a project in the current directory."""
    (tmp_path / "lambda" / "greeting").mkdir(parents=True)
    (tmp_path / "lambda" / "greeting" / "index.py").write_text("def handler(event, context): ...\n")
    monkeypatch.chdir(tmp_path)
    (found,) = package.functions(Path("lambda"))
    return found


class Packages:
    """A phase in two regions whose one layer has the function, and its versioned buckets."""

    def __init__(self, administrator: Administrator, accounts: list[str], function: package.Function) -> None:
        self.small = SmallPhase(administrator, accounts)
        self.client = self.small.client
        self.buckets = {EAST: self.small.bucket, WEST: administrator.bucket(WEST)}
        for region, bucket in self.buckets.items():
            enabled = {"Status": "Enabled"}
            self.api(region).put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
        self.function, self.key = function, f"dev/{function.key}"
        self.digest = package.sha256(package.build(function, PACKAGES_DIR, WHEELS_DIR))

    def api(self, region: str = EAST) -> Any:
        return self.small.administrator.api("s3", region=region)

    def put(self, body: bytes, region: str = EAST, **more: str) -> str:
        """Put an object at the key as somebody does who may write there; return its version."""
        answer = self.api(region).put_object(Bucket=self.buckets[region], Key=self.key, Body=body, **more)
        return str(answer["VersionId"])

    def desired(self, *regions: str, **values: str) -> DesiredState:
        overrides = {
            target: {"ArtifactsBucket": self.buckets[target.region]}
            for target in self.small.targets
            if target.region in (regions or (EAST, WEST))
        }
        given = {"ArtifactsBucket": "", "GreetingPackageKey": self.function.key, "GreetingPackageVersion": ""} | values
        return self.small.desired(layer_set("monitoring", overrides, template(), **given))

    def packaged(self, desired: DesiredState | None = None, current: CurrentState = NOBODY) -> DesiredState:
        return with_packages(self.client, desired or self.desired(), current, say, put=True).desired


@pytest.fixture
def packages(administrator: Administrator, members: list[str], function: package.Function) -> Packages:
    return Packages(administrator, members[:1], function)


def test_every_function_names_the_version_that_its_region_gave_to_the_package_that_was_built(
    packages: Packages,
) -> None:
    spec = packages.packaged().sets["monitoring"]
    for target in packages.small.targets:
        head = packages.api(target.region).head_object(
            Bucket=packages.buckets[target.region], Key=packages.key, ChecksumMode="ENABLED"
        )
        values = spec.values(target)
        assert (values["GreetingPackageKey"], values["GreetingPackageVersion"]) == (packages.key, head["VersionId"])
    assert packages.packaged().digests == {packages.key: packages.digest}


def test_a_package_that_was_put_at_the_key_in_advance_is_refused_with_both_digests(packages: Packages) -> None:
    version = packages.put(FORGED)
    with pytest.raises(RolloutError) as refused:
        packages.packaged()
    message, forged = str(refused.value), hashlib.sha256(FORGED).hexdigest()
    where = f"s3://{packages.buckets[EAST]}/{packages.key}, version {version}"
    assert message.startswith(f"{where}, is not the package that was built: its SHA-256 is {forged}")
    assert packages.digest in message
    assert "\n" not in message


def test_a_package_that_is_swapped_after_its_upload_is_refused_by_the_next_plan(packages: Packages) -> None:
    packages.packaged()
    packages.put(FORGED, ChecksumAlgorithm="SHA256")
    with pytest.raises(RolloutError, match="is not the package that was built"):
        with_packages(packages.client, packages.desired(), NOBODY, say)


def test_functions_keep_the_version_that_was_compared_whatever_lies_there_now(packages: Packages) -> None:
    spec = packages.packaged().sets["monitoring"]
    swapped = packages.put(FORGED)
    values = spec.values(Target(packages.small.accounts[0], EAST))
    found = packages.client.objects(EAST).stored(packages.buckets[EAST], packages.key, values["GreetingPackageVersion"])
    assert found is not None
    assert (found.sha256, values["GreetingPackageVersion"] != swapped) == (packages.digest, True)


def test_what_a_multipart_upload_says_of_its_digest_is_not_believed(packages: Packages) -> None:
    """It is a digest of digests: the content is read."""
    api, where = packages.api(), {"Bucket": packages.buckets[EAST], "Key": packages.key}
    upload = api.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    part = api.upload_part(**where, UploadId=upload, PartNumber=1, Body=FORGED, ChecksumAlgorithm="SHA256")
    parts = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}]
    api.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    found = packages.client.objects(EAST).stored(**{name.lower(): value for name, value in where.items()})
    assert found is not None
    assert found.sha256 == hashlib.sha256(FORGED).hexdigest()


def test_an_upload_never_writes_over_what_is_there(packages: Packages) -> None:
    packages.put(FORGED)
    with pytest.raises(Conflict):
        packages.client.objects(EAST).create(packages.buckets[EAST], packages.key, b"a package")
    body = packages.api().get_object(Bucket=packages.buckets[EAST], Key=packages.key)["Body"].read()
    assert body == FORGED


def test_a_plan_uploads_nothing_and_says_what_is_missing(packages: Packages) -> None:
    found = with_packages(packages.client, packages.desired(), NOBODY, say)
    missing = {f"{packages.key} is not in {bucket} yet" for bucket in packages.buckets.values()}
    assert set(found.missing) == missing
    assert "Contents" not in packages.api().list_objects_v2(Bucket=packages.buckets[EAST])


def test_a_package_of_another_phase_is_not_taken(packages: Packages) -> None:
    """A writer of dev's packages writes nothing that prod reads: each has a folder of its own."""
    with pytest.raises(RolloutError, match="no function makes the package prod/greeting/"):
        packages.packaged(packages.desired(GreetingPackageKey=f"prod/{packages.function.key}"))


def test_a_version_that_a_parameter_gives_is_taken_as_it_is(packages: Packages) -> None:
    """A signed package is not the one that was built: it is pinned by its version, and proven by its signature."""
    key = f"signed/greeting/{'0' * 32}.zip"
    version = packages.api().put_object(Bucket=packages.buckets[EAST], Key=key, Body=b"signed")["VersionId"]
    given = packages.desired(EAST, GreetingPackageKey=key, GreetingPackageVersion=version)
    found = packages.packaged(given)
    values = found.sets["monitoring"].values(Target(packages.small.accounts[0], EAST))
    assert (values["GreetingPackageKey"], values["GreetingPackageVersion"]) == (key, version)
    assert found.digests == {key: hashlib.sha256(b"signed").hexdigest()}


def test_a_version_that_is_not_there_is_refused(packages: Packages) -> None:
    given = packages.desired(EAST, GreetingPackageKey=f"signed/greeting/{'0' * 32}.zip", GreetingPackageVersion="gone")
    with pytest.raises(RolloutError, match="has no version gone in us-east-1"):
        packages.packaged(given)


def test_a_set_from_before_versions_gets_them_by_the_second_apply(packages: Packages) -> None:
    """StackSets takes no override of a parameter that is new in the template."""
    lines: list[str] = []
    old = StackSet("monitoring", "stackferry-monitoring-dev", template("GreetingPackageVersion"), {}, {}, {})
    current = CurrentState({"monitoring": old})
    first = with_packages(packages.client, packages.desired(), current, lines.append, put=True).desired
    versions = {first.sets["monitoring"].values(target)["GreetingPackageVersion"] for target in first.targets}
    assert versions == {""}
    assert lines[-1] == "monitoring: its functions name the versions of their packages from the next apply on"
    now = CurrentState({"monitoring": dataclasses.replace(old, parameters={"GreetingPackageVersion": ""})})
    second = packages.packaged(current=now).sets["monitoring"]
    assert all(second.values(target)["GreetingPackageVersion"] for target in second.overrides)


def test_a_release_puts_back_the_very_versions_that_it_was_made_with(packages: Packages) -> None:
    store, desired = packages.small.store, packages.packaged()
    release = store.releases.load(store.releases.save(desired)).desired_state(packages.desired())
    packages.put(FORGED)
    require_packages(packages.client, release)
    assert (release.digests, release_id(release)) == (desired.digests, release_id(desired))


def test_a_release_whose_version_is_gone_is_not_put_back(packages: Packages) -> None:
    desired = packages.packaged(packages.desired(EAST))
    values = desired.sets["monitoring"].values(Target(packages.small.accounts[0], EAST))
    packages.api().delete_object(
        Bucket=packages.buckets[EAST], Key=packages.key, VersionId=values["GreetingPackageVersion"]
    )
    with pytest.raises(RolloutError, match="any more; the release cannot be put back"):
        require_packages(packages.client, desired)


def test_a_release_of_another_digest_than_its_packages_is_not_put_back(packages: Packages) -> None:
    desired = packages.packaged(packages.desired(EAST))
    forged = dataclasses.replace(desired, digests={packages.key: "0" * 64})
    with pytest.raises(RolloutError, match="is not the package that was built"):
        require_packages(packages.client, forged)


def test_an_account_that_may_not_read_the_version_is_named_before_anything_is_deployed(packages: Packages) -> None:
    desired = packages.packaged(packages.desired(EAST))
    account = packages.small.accounts[0]
    with pytest.raises(RolloutError, match=f"{account}/us-east-1 cannot read s3://"):
        require_readers(packages.client, desired)


def deployed(*without: str) -> str:
    """A layer whose function runs the package."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}}
    code = {"S3Bucket": {"Ref": "ArtifactsBucket"}, "S3Key": {"Ref": "GreetingPackageKey"}}
    if not without:
        code["S3ObjectVersion"] = {"Ref": "GreetingPackageVersion"}
    function = {"Runtime": "python3.13", "Handler": "index.handler", "Role": {"Fn::GetAtt": "Role.Arn"}, "Code": code}
    body = json.loads(template(*without))
    body["Resources"] = {
        "Role": {"Type": "AWS::IAM::Role", "Properties": role},
        "Greeting": {"Type": "AWS::Lambda::Function", "Properties": function},
    }
    return json.dumps(body)


def roll_out(packages: Packages, body: str, forged: bytes) -> tuple[Report, str]:
    """Compare the package, have somebody swap it, and deploy; return the report and the code of the function."""
    small, bucket = packages.small, packages.buckets[EAST]
    allowed = {"Effect": "Allow", "Principal": {"AWS": small.accounts}, "Resource": f"arn:aws:s3:::{bucket}/*.zip"}
    policy = {"Version": "2012-10-17", "Statement": [allowed | {"Action": ["s3:GetObject", "s3:GetObjectVersion"]}]}
    packages.api().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    given = packages.desired(EAST)
    spec = dataclasses.replace(given.sets["monitoring"], template=body)
    if "GreetingPackageVersion" not in body:
        kept = {name: value for name, value in spec.parameters.items() if name != "GreetingPackageVersion"}
        spec = dataclasses.replace(spec, parameters=kept)
    desired = packages.packaged(dataclasses.replace(given, sets={"monitoring": spec}))
    packages.put(forged)
    report = small.run(desired)
    lambda_api = small.administrator.api("lambda", small.accounts[0], EAST)
    (function,) = lambda_api.list_functions()["Functions"]
    return report, base64.b64decode(function["CodeSha256"]).hex()


@pytest.fixture
def forged(tmp_path: Path) -> bytes:
    path = tmp_path / "forged.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): return 'forged'\n")
    return path.read_bytes()


def test_a_package_that_is_swapped_between_comparison_and_deployment_is_not_deployed(
    packages: Packages, forged: bytes
) -> None:
    report, digest = roll_out(packages, deployed(), forged)
    assert (report.good, digest) == (True, packages.digest)


def test_a_function_that_got_another_code_than_its_package_is_a_failure_with_its_remedy(
    packages: Packages, forged: bytes
) -> None:
    """As where a template does not name versions yet."""
    report, digest = roll_out(packages, deployed("GreetingPackageVersion"), forged)
    assert digest == hashlib.sha256(forged).hexdigest()
    ((reason, failures),) = report.causes().items()
    assert [each.target for each in failures] == [Target(packages.small.accounts[0], EAST)]
    assert reason.startswith(
        f"Greeting runs code whose SHA-256 is {digest}, and that of its package is {packages.digest}"
    )
    assert f"--s3-bucket {packages.buckets[EAST]} --s3-key {packages.key}`" in reason


def test_build_templates_uploads_once_and_writes_the_version_into_the_bucket_s_parameter_file(
    packages: Packages, tmp_path: Path
) -> None:
    folder, bucket = tmp_path / "environments", packages.buckets[EAST]
    folder.mkdir()
    text = '["ArtifactsBucket={}", "GreetingPackageVersion="]'
    (folder / "dev.json").write_text(text.format(bucket))
    (folder / "prod.json").write_text(text.format("another"))
    built = building.make(Path("lambda"), folder)
    for _ in range(2):
        building.upload(built, [f"{EAST}={bucket}"], folder, packages.client.objects)
    versions = packages.api().list_object_versions(Bucket=bucket)["Versions"]
    assert [each["Key"] for each in versions] == [packages.function.key]
    written = [json.loads((folder / name).read_text())[1] for name in ("dev.json", "prod.json")]
    assert written == [f"GreetingPackageVersion={versions[0]['VersionId']}", "GreetingPackageVersion="]


def test_build_templates_refuses_another_content_at_the_key(packages: Packages, tmp_path: Path) -> None:
    bucket = packages.buckets[EAST]
    packages.api().put_object(Bucket=bucket, Key=packages.function.key, Body=FORGED)
    built = building.make(Path("lambda"), tmp_path / "environments")
    with pytest.raises(RolloutError, match="is not the package that was built"):
        building.upload(built, [f"{EAST}={bucket}"], tmp_path / "environments", packages.client.objects)
