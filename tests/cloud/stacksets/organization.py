"""An organization as its management account sees it."""

from __future__ import annotations

from typing import Any

from builders.cloud.clients import account_client
from builders.cloud.process import Cloud


class Organization:
    """An organization as its management account sees it."""

    def __init__(self, cloud: Cloud, management: str) -> None:
        self.cloud = cloud
        self.management = management
        self.api = self.of(management)
        self.id = self.api.create_organization(FeatureSet="ALL")["Organization"]["Id"]
        self.root = str(self.api.list_roots()["Roots"][0]["Id"])

    def of(self, account: str, service: str = "organizations") -> Any:
        return account_client(self.cloud, service, account)

    def admit(self, account: str, unit: str | None = None) -> str:
        """Let an account join, as it is done on AWS, and put it into a unit."""
        handshake = self.api.invite_account_to_organization(Target={"Id": account, "Type": "ACCOUNT"})["Handshake"]
        self.of(account).accept_handshake(HandshakeId=handshake["Id"])
        if unit:
            self.api.move_account(AccountId=account, SourceParentId=self.root, DestinationParentId=unit)
        return account

    def unit(self, name: str, parent: str | None = None) -> str:
        made = self.api.create_organizational_unit(ParentId=parent or self.root, Name=name)
        return str(made["OrganizationalUnit"]["Id"])

    def accounts(self, parent: str) -> list[str]:
        return [each["Id"] for each in self.api.list_accounts_for_parent(ParentId=parent)["Accounts"]]
