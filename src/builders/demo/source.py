"""The database that the demo migrates from: a PostgreSQL that plays on-premises, and the secret that opens it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from builders.cloud.on_premises import on_premises
from builders.cloud.process import Cloud
from builders.demo.scenario import Scenario


@contextlib.contextmanager
def source_database(cloud: Cloud, scenario: Scenario, say: Callable[[str], None]) -> Iterator[None]:
    """Run the source under the host name of the phase's file, and tell the scenario what a user would bring."""
    wanted = scenario.parameters
    host, port, database = wanted["SourceHost"], int(wanted["SourcePort"]), wanted["SourceDatabaseName"]
    with on_premises(cloud.state_directory, host, port=port, database_name=database) as source:
        say(f"on-premises: {database} at {host}:{port}, played by PostgreSQL {source.server.installation.major}")
        scenario.parameters |= {
            "SourceSecretArn": _store(scenario, source.secret()),
            "SourceCertificatePem": source.certificate_pem,
        }
        yield


def _store(scenario: Scenario, secret: dict[str, str | int]) -> str:
    """Store the secret and return its ARN. It goes through a file, since a command line can be read by everybody."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "secret.json")
        path.write_text(json.dumps(secret), encoding="utf-8")
        answer = scenario.accounts.phase.json(
            *("secretsmanager", "create-secret", "--name", f"on-premises-{scenario.phase}"),
            *("--secret-string", f"file://{path}"),
        )
    return str(answer["ARN"])
