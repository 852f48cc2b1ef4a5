"""Whose credentials a call is made with, and where: values only, so that nobody loads boto3 to name them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Access:
    """The administrator's credentials and region: boto3's standard chain, unless `keys` (id and secret) are given.

    `endpoint_url` is for the embedded cloud; without it boto3 decides (AWS_ENDPOINT_URL too).
    """

    region: str
    profile: str | None = None
    endpoint_url: str | None = None
    keys: tuple[str, str] | None = field(default=None, repr=False)
    attempts: int = 0
    """Of each call, the first included; 0: what AWS_MAX_ATTEMPTS says, else 8."""
    connect_seconds: float = 10
    read_seconds: float = 60


@dataclass(frozen=True)
class Role:
    """A role that is assumed; `external_id` may be empty."""

    account: str
    name: str
    external_id: str = ""


@dataclass(frozen=True)
class Where:
    """A region, and whose: the caller's own account's unless a role of another is named."""

    region: str
    role: Role | None = None

    def __str__(self) -> str:
        """The form that messages use."""
        return f"account {self.role.account}, {self.region}" if self.role else self.region
