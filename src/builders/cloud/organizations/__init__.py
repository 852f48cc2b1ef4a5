"""AWS Organizations with members, over ministack's, where every account is alone in an organization of its own.

    api.py         the operations and who may call them
    membership.py  management accounts, members and their units; accounts that join, move, leave or close
    delegation.py  trusted services and delegated administrators; pages of the List operations

Organizational units, policies and tags are ministack's. Two accounts of chosen numbers come together as on AWS:
CreateOrganization in one, InviteAccountToOrganization there, AcceptHandshake in the other.
"""
