"""The page docs/by-hand.md: its very commands, with a suffix, ranges and accounts of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import aws_cli
import warm
import warm_command

from builders import environments, naming, outputs
from builders.building.packages import WHEELS_DIR
from builders.cloud.clients import account_client
from builders.cloud.process import Cloud
from builders.cloud.rds.on_premises import on_premises
from builders.layer_templates import read_templates
from builders.scopes import Scope

PAGE = Path("docs/by-hand.md")
ROOT = Path.cwd()
ACCOUNTS = {"tooling": "641000000001", "network": "641000000002", "phase": "641000000003"}
OWN = {
    "phase": "blue",
    "suffix": "blu",
    "account": ACCOUNTS["phase"],
    "tooling_suffix": "tools",
    "network_suffix": "hub",
}
# As after an installation, which has the commands in the PATH; "python" is the one that runs the tests. Most go without
# their start.
COMMANDS = "".join(
    f'{name}() {{ "{sys.executable}" {program} "$@"; }}\n'
    for name, program in {
        "aws": f'-S "{warm_command.__file__}" awscli',
        "build-templates": f'-S "{warm_command.__file__}" "{warm.SCRIPTS / "build-templates"}"',
        "migrate-database": "-m builders.migration",
        "write-outputs": f'-S "{warm_command.__file__}" builders.write_outputs',
    }.items()
)
COLD = {warm_command.COLD: "builders.write_outputs --phase"}
PUT = "from pathlib import Path; from builders import environments; import sys; "
PUT += "environments.put(Path('environments/blue.json'), {'SourceSecretArn': sys.stdin.read().strip()})"


def test_the_table_of_the_page_has_every_layer_with_its_account_and_after_what_it_needs() -> None:
    accounts = {"tooling": "TOOLING", "network": "NETWORK", "phase": "PHASE ACCOUNT"}
    rows = re.findall(r"^\| \d \| (.+?) \| (\w+) \| (.+?) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    templates = read_templates(Path("templates"))
    ordered = [layer for layers, *_ in rows for layer in re.findall(r"`(\w+)`", layers)]
    assert sorted(ordered) == sorted(templates.keys() - {"deploy_role"})
    for layers, credentials, file, suffix in rows:
        for layer in re.findall(r"`(\w+)`", layers):
            scope = templates[layer].scope
            assert scope.name.removesuffix("_PER_PHASE") in accounts[credentials], layer
            own = f"`{credentials}.json`" if scope in (Scope.TOOLING, Scope.NETWORK) else "the phase's"
            assert (file, suffix) == (own, own.replace("'s", "")), layer
            assert templates[layer].needs <= set(ordered[: ordered.index(layer)]), layer


def test_the_page_names_every_parameter_that_has_no_default() -> None:
    page = PAGE.read_text(encoding="utf-8")
    unnamed = {
        (layer, name)
        for layer, template in read_templates(Path("templates")).items()
        for name in template.parameters
        if template.default(name) is None and not re.search(rf"\b{name}\b", page)
    }
    assert {each for each in unnamed if not each[1].endswith(naming.PACKAGE_KEY)} == set()


def test_the_commands_of_the_page_take_empty_accounts_to_a_running_phase_and_back(cloud: Cloud, tmp_path: Path) -> None:
    with on_premises(cloud.state_directory, "ledger.blue.test", port=5433, database_name="ledger") as source:
        source.administer("CREATE SCHEMA ledger", 'GRANT ALL ON SCHEMA ledger TO "app"')
        write_project(tmp_path, source.certificate_pem)
        (tmp_path / "source-secret.json").write_text(json.dumps(source.secret()))
        script = tmp_path / "by-hand.sh"
        script.write_text(f"set -e -o pipefail\n{COMMANDS}{commands()}", encoding="utf-8")
        variables = {"MIGRATE_DATABASE_SOURCE_ADDRESS": f"127.0.0.1:{source.server.port}"}
        finished = subprocess.run(
            ["bash", str(script)],
            cwd=tmp_path,
            env={**environment(cloud, tmp_path), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    assert re.search(r"^\d+ passed", finished.stdout, flags=re.MULTILINE), finished.stdout[-3000:]
    flat = outputs.read_flat(tmp_path / "outputs" / "blue" / ACCOUNTS["phase"] / "us-east-1" / outputs.FLAT)
    assert [name for name in outputs.RELIED_ON if name not in flat] == []
    assert f":{naming.REPLICATION_TASK_RESOURCE}-blu" in flat["replicationTaskArn"]
    assert f"task       {flat['replicationTaskArn']}\nstatus     ready" in finished.stdout
    # As rollout-stacksets calls it, so that it takes the phase over.
    assert f"stack - {naming.network_stack('phase_routes', 'blu', ACCOUNTS['phase'])}\n" in finished.stdout
    assert {name: stacks(cloud, account) for name, account in ACCOUNTS.items()} == {
        "tooling": ["artifacts-tools"],
        "network": ["shared-network-hub"],
        "phase": [],
    }


def stacks(cloud: Cloud, account: str) -> list[str]:
    """The stacks of an account."""
    return [each["StackName"] for each in account_client(cloud, "cloudformation", account).describe_stacks()["Stacks"]]


def commands() -> str:
    """The blocks of the page, with names of our own, and the one value that a person writes down in between."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = "".join(blocks)
    for name, value in OWN.items():
        text, count = re.subn(rf"^{name}=\w+", f"{name}={value}", text, flags=re.MULTILINE)
        assert count == 1, name
    text, count = re.subn(r"(create-secret .* --output text)\n", rf'\1 | "{sys.executable}" -c "{PUT}"\n', text)
    assert count == 1
    # The templates are linted by the next command, too.
    text = text.replace("build-templates --package\n", "build-templates --package --no-lint\n")
    return text.replace("python -m pytest", f'"{sys.executable}" -m pytest -q -p no:cacheprovider')


def write_project(folder: Path, certificate: str) -> None:
    """Make a project with parameter files of its own: no value of ours but the forms."""
    for name in ("lambda", "tests", "setup.cfg", "docs"):
        (folder / name).symlink_to(ROOT / name)
    if WHEELS_DIR.is_dir():  # as after an earlier run: nothing is downloaded
        shutil.copytree(WHEELS_DIR, folder / WHEELS_DIR)
    (folder / ".cfnlintrc").write_text("regions: [us-east-1]\n", encoding="utf-8")
    common = {"CostCenter": "ledger", "ComplianceScope": "PCI-DSS"}
    kept = environments.read(ROOT / "environments" / "dev.json").values
    keys = {name: "" for name in kept if name.endswith(naming.PACKAGE_KEY)}
    files = {
        "tooling": {
            "EnvironmentSuffix": "tools",
            "MigrationPhase": "shared",
            "ToolingAccountId": ACCOUNTS["tooling"],
            "ReaderAccountIds": ACCOUNTS["phase"],
        },
        "network": {
            "EnvironmentSuffix": "hub",
            "MigrationPhase": "shared",
            "SharePrincipals": ACCOUNTS["phase"],
            "AllowedPrefixes": "10.77.0.0/16",
            "DirectConnectConnectionId": "dxcon-fgabc123",
            "VirtualInterfaceVlan": "277",
            "OnPremisesAsn": "65077",
        },
        "blue": {
            "EnvironmentSuffix": "blu",
            "MigrationPhase": "blue",
            "VpcCidr": "10.77.0.0/16",
            "OnPremisesCidr1": "192.168.64.0/18",
            "S3PrefixListId": "pl-63a5400a",
            "Connectivity": "TransitGateway",
            "ToolingAccountId": ACCOUNTS["tooling"],
            "PermissionsBoundary": "stackferry-boundary-blu",
            "SourceHost": "ledger.blue.test",
            "SourcePort": "5433",
            "SourceDatabaseName": "ledger",
            "SourceCertificatePem": certificate,
            "SchemaName1": "ledger",
            "SourceSecretArns": f"arn:aws:secretsmanager:*:{ACCOUNTS['phase']}:secret:on-premises-*",
            "ReplicationEngineVersion": "3.6.1",
            "CreateDmsVpcRole": "true",
            "CreateDmsLogsRole": "true",
            **keys,
        },
    }
    (folder / "environments").mkdir()
    for name, values in files.items():
        lines = [f"{key}={value}" for key, value in {**common, **values}.items()]
        (folder / "environments" / f"{name}.json").write_text(json.dumps(lines, indent=1), encoding="utf-8")


def environment(cloud: Cloud, folder: Path) -> dict[str, str]:
    """Profiles for the three accounts, and nothing else: no variable names an account, a region or an endpoint."""
    config = folder / "aws-config"
    config.write_text(
        "\n".join(
            f"[profile {name}]\naws_access_key_id = {account}\n"
            f"aws_secret_access_key = {cloud.secret_access_key(account)}\nendpoint_url = {cloud.endpoint_url}\n"
            for name, account in ACCOUNTS.items()
        )
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    paths = os.pathsep.join([aws_cli.variables()["PYTHONPATH"], str(ROOT / "src"), str(ROOT)])
    return {
        **own,
        **aws_cli.variables(),
        **COLD,
        **warm.programs("pytest"),
        "PYTHONPATH": paths,
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "XDG_CACHE_HOME": str(warm.cache()),
        "PGSSLROOTCERT": str(cloud.ca_file),
    }
