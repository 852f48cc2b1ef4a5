"""The pretend accounts of a rollout file: their roles, their organization, and the databases that the phases migrate.

A rollout file does not say how many accounts an organizational unit has, and AWS gives units their ids, so units and
their accounts are made up.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

from builders.aws.accounts import STACKSETS
from builders.building.environment_check import SECRETS
from builders.cloud.clients import account_client
from builders.cloud.process import Cloud
from builders.cloud.rds.on_premises import OnPremises, on_premises
from builders.rollout.checks.values import VPC
from builders.rollout.config.parameters import environment_file, read_parameters
from builders.rollout.config.schema import PhaseConfig, RolloutFile, SharedAccount, TargetConfig
from builders.rollout.model import Target, Values

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"


class Accounts:
    """The accounts of the embedded cloud, called with the credentials of their owners."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def api(self, service: str, account: str, region: str = "us-east-1") -> Any:
        """A boto3 client."""
        return account_client(self._cloud, service, account, region)

    def create_admin_role(self, account: str, role: str, trusted: str) -> None:
        """Create a role with all rights that `trusted` may assume, as AWS Organizations does in new accounts."""
        iam = self.api("iam", account)
        principal = {"AWS": f"arn:aws:iam::{trusted}:root"}
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        path, _, name = role.rpartition("/")
        iam.create_role(RoleName=name, Path=f"/{path}/" if path else "/", AssumeRolePolicyDocument=trust)
        iam.attach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR_ACCESS)

    def trust_policy(self, account: str, role: str) -> str:
        """The trust policy of a role, as JSON."""
        document = self.api("iam", account).get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        return document if isinstance(document, str) else json.dumps(document)


def create_deploy_roles(accounts: Accounts, rollout: RolloutFile, targets: Iterable[str]) -> None:
    """Let the tooling account deploy in the target accounts and in the network account."""
    others = {*targets, *([rollout.network.account] if rollout.network else [])} - {rollout.tooling.account}
    for account in sorted(others):
        accounts.create_admin_role(account, rollout.deploy_role_in(account), rollout.tooling.account)


IN_A_UNIT = 2
"""Accounts of a unit, at least, unless the caller asks for more."""

MANAGEMENT = "7" * 12
"""The management account, where the tooling account is a delegated administrator."""

READERS = {"tooling": "ReaderAccountIds", "network": "SharePrincipals"}
"""The parameters of the shared accounts that list the accounts which use what they share."""

MADE_UP_RANGE = ipaddress.IPv4Network("10.192.0.0/10")
"""The VPCs of accounts that are made up have ranges in it, which on-premises learns as a whole."""

Members = Mapping[str, Sequence[str]]


def unit_members(rollout: RolloutFile, at_least: int | None) -> dict[str, list[str]]:
    """The accounts of each unit: those that the file names for a phase are in its first unit, the rest is made up."""
    found: dict[str, list[str]] = {}
    for number, plan in enumerate(rollout.phases.values(), 1):
        for position, unit in enumerate(plan.targets.organizational_units, 1):
            if unit not in found:
                named = _named(plan) if position == 1 else []
                made_up = [f"6{number:03}{position:03}{each:05}" for each in range(1, (at_least or IN_A_UNIT) + 1)]
                found[unit] = sorted([*named, *made_up[len(named) :]])
    return found


def _named(plan: PhaseConfig) -> list[str]:
    waves = [account for wave in plan.waves for account in wave.accounts]
    targets = [target.partition("/")[0] for target in plan.place_parameters]
    return list(dict.fromkeys([*waves, *plan.account_parameters, *targets]))


def create_organization(accounts: Accounts, rollout: RolloutFile, units: Members) -> tuple[RolloutFile, str]:
    """Create the organization. Return the file with the ids of its units, and the account that owns the stack sets."""
    tooling = rollout.tooling.account
    delegated = rollout.stacksets.call_as == "DELEGATED_ADMIN"
    management = MANAGEMENT if delegated else tooling
    api = accounts.api("organizations", management)
    api.create_organization(FeatureSet="ALL")
    root = str(api.list_roots()["Roots"][0]["Id"])
    for account in sorted({tooling, *([rollout.network.account] if rollout.network else [])} - {management}):
        _join(accounts, management, account)
    ids: dict[str, str] = {}
    for number, (unit, inside) in enumerate(units.items(), 1):
        answer = api.create_organizational_unit(ParentId=root, Name=f"unit-{number}")
        ids[unit] = answer["OrganizationalUnit"]["Id"]
        for account in inside:
            _join(accounts, management, account)
            api.move_account(AccountId=account, SourceParentId=root, DestinationParentId=ids[unit])
    accounts.api("cloudformation", management).activate_organizations_access()
    if delegated:
        api.register_delegated_administrator(AccountId=tooling, ServicePrincipal=STACKSETS)
    return _with_units(rollout, ids, sorted({each for inside in units.values() for each in inside})), management


def _join(accounts: Accounts, management: str, account: str) -> None:
    """Let an account join by invitation, since a created one would get another id."""
    target = {"Id": account, "Type": "ACCOUNT"}
    handshake = accounts.api("organizations", management).invite_account_to_organization(Target=target)["Handshake"]
    accounts.api("organizations", account).accept_handshake(HandshakeId=handshake["Id"])


def _with_units(rollout: RolloutFile, ids: Mapping[str, str], inside: Sequence[str]) -> RolloutFile:
    """The file with the ids of units that exist, and their accounts in the parameters that share with them."""
    phases = {}
    for name, plan in rollout.phases.items():
        units = tuple(ids[unit] for unit in plan.targets.organizational_units)
        phases[name] = plan.model_copy(update={"targets": TargetConfig(organizational_units=units)}) if units else plan
    update: dict[str, object] = {"phases": phases}
    regions = list(dict.fromkeys([rollout.home, *(region for plan in phases.values() for region in plan.regions)]))
    for name, parameter in READERS.items():
        owner: SharedAccount | None = getattr(rollout, name)
        if owner is not None:
            update[name] = _sharing_with(rollout, owner, parameter, inside, regions)
    return rollout.model_copy(update=update)


def _sharing_with(
    rollout: RolloutFile, owner: SharedAccount, parameter: str, inside: Sequence[str], regions: Sequence[str]
) -> SharedAccount:
    written = read_parameters(rollout, owner.parameters).values
    own = {}
    for region in regions:
        given = {**written, **owner.region_parameters.get(region, {})}.get(parameter, "")
        accounts = [each for each in given.split(",") if each.isdigit() and each not in inside]
        own[region] = {**owner.region_parameters.get(region, {}), parameter: ",".join([*accounts, *inside])}
        if prefixes := {**written, **own[region]}.get("AllowedPrefixes"):
            own[region]["AllowedPrefixes"] = f"{prefixes},{MADE_UP_RANGE}"
    return owner.model_copy(update={"region_parameters": own})


def made_up_values(plan: PhaseConfig, phase: int, targets: Sequence[Target]) -> dict[Target, Values]:
    """Values for the accounts of units, which a rollout file does not name: the secrets that their roles may read, and
    ranges for all but the first, which has the file's.

    An account that the file gives a range keeps it.
    """
    if not plan.targets.organizational_units:
        return {}
    given = {name for own in (plan.account_parameters, plan.place_parameters) for name in own if VPC in own[name]}
    blocks = itertools.islice(MADE_UP_RANGE.subnets(new_prefix=20), phase * len(targets), None)
    found: dict[Target, Values] = {}
    for each, block in zip(targets, blocks, strict=False):
        has_range = each.account == targets[0].account or not given.isdisjoint((each.account, str(each)))
        secrets = f"arn:aws:secretsmanager:*:{each.account}:secret:on-premises-*"
        found[each] = {SECRETS: secrets, **({} if has_range else {VPC: str(block)})}
    return found


HOST, PORT, DATABASE = "SourceHost", "SourcePort", "SourceDatabaseName"


@contextlib.contextmanager
def running_sources(cloud: Cloud, rollout: RolloutFile) -> Iterator[dict[str, OnPremises]]:
    """Run one PostgreSQL per phase under the host name, port and database of the phase's file."""
    with contextlib.ExitStack() as stack:

        def start(phase: str) -> OnPremises:
            values = {**environment_file(rollout, phase).values, **rollout.phases[phase].parameters}
            source = on_premises(
                cloud.state_directory, values[HOST], port=int(values[PORT]), database_name=values[DATABASE]
            )
            return stack.enter_context(source)

        with ThreadPoolExecutor(2) as pool:
            yield dict(zip(rollout.phases, list(pool.map(start, rollout.phases)), strict=True))


BROUGHT = ("SourceSecretArn", "FallbackSecretArn", "MigratorSecretArn")
"""The secrets that a user brings: the first always, the others where a file names them."""


DMS_ROLES = {"CreateDmsVpcRole": "true", "CreateDmsLogsRole": "true"}
"""Values of the first phase of an account, whatever a file says: a new account has neither role."""


def source_values(
    accounts: Accounts, phase: str, target: Target, source: OnPremises, given: Values = MappingProxyType({})
) -> Values:
    """Store the source's secrets in a target, and return the parameters that a user would write for the target.

    `given` are those of the files. The id of S3's prefix list is the embedded cloud's, which knows AWS's own in some
    regions only.
    """
    api = accounts.api("secretsmanager", target.account, target.region)
    contents = (source.secret(), source.fallback_secret(), source.secret())
    found = dict[str, str]()
    for name, content in zip(BROUGHT, contents, strict=True):
        if name == BROUGHT[0] or given.get(name):
            secret = f"on-premises-{name.removesuffix('SecretArn').lower()}-{phase}"
            found[name] = api.create_secret(Name=secret, SecretString=json.dumps(content))["ARN"]
        if given.get(key := name.replace("SecretArn", "SecretKeyArn")):
            found[key] = ""  # that key is in AWS
    filters = [{"Name": "prefix-list-name", "Values": [f"com.amazonaws.{target.region}.s3"]}]
    lists = accounts.api("ec2", target.account, target.region).describe_managed_prefix_lists(Filters=filters)
    return {
        **found,
        "SourceCertificatePem": source.certificate_pem,
        "S3PrefixListId": lists["PrefixLists"][0]["PrefixListId"],
    }
