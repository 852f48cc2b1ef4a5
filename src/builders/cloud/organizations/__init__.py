"""AWS Organizations with members, over ministack's, where every account is alone in an organization of its own.

    membership.py   who belongs where: management accounts, units, suspended accounts, trusted services, delegates
    joining.py      accounts come and go: create, invite, accept, leave, remove, move, close
    delegating.py   trusted services and delegated administrators
    listing.py      pages of the List operations
    actions.py      which operation is whose, who may call it, and the way that requests take to them

Organizational units, policies and tags are ministack's. Two accounts of chosen numbers come together as on AWS:
CreateOrganization in one, InviteAccountToOrganization there, AcceptHandshake in the other.
"""

from builders.cloud.organizations.actions import install

__all__ = ["install"]
"""Called once by builders.cloud.install."""
