"""The databases that the phases migrate from, and what a user would bring of them: a secret in each place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from builders.cloud.on_premises import OnPremises, on_premises
from builders.cloud.process import Cloud
from builders.rollout.desired.parameter_files import environment
from builders.rollout.file import RolloutFile
from builders.rollout.model import Place, Values
from builders.rollout.rehearsal.accounts import Accounts

HOST, PORT, DATABASE = "SourceHost", "SourcePort", "SourceDatabaseName"


@contextlib.contextmanager
def running(cloud: Cloud, rollout: RolloutFile) -> Iterator[dict[str, OnPremises]]:
    """Run one PostgreSQL a phase under the host name, port and database of the phase's file."""
    with contextlib.ExitStack() as stack:

        def start(phase: str) -> OnPremises:
            values = {**environment(rollout, phase).values, **rollout.phases[phase].parameters}
            source = on_premises(
                cloud.state_directory, values[HOST], port=int(values[PORT]), database_name=values[DATABASE]
            )
            return stack.enter_context(source)

        with ThreadPoolExecutor(2) as pool:
            yield dict(zip(rollout.phases, list(pool.map(start, rollout.phases)), strict=True))


def brought(accounts: Accounts, phase: str, place: Place, source: OnPremises) -> Values:
    """Store the source's secret at a place, and return what a user would have written of the place.

    The id of S3's prefix list is the embedded cloud's, which knows AWS's own in some regions only.
    """
    made = accounts.api("secretsmanager", place.account, place.region).create_secret(
        Name=f"on-premises-{phase}", SecretString=json.dumps(source.secret())
    )
    wanted = [{"Name": "prefix-list-name", "Values": [f"com.amazonaws.{place.region}.s3"]}]
    found = accounts.api("ec2", place.account, place.region).describe_managed_prefix_lists(Filters=wanted)
    return {
        "SourceSecretArn": made["ARN"],
        "SourceCertificatePem": source.certificate_pem,
        "S3PrefixListId": found["PrefixLists"][0]["PrefixListId"],
    }
