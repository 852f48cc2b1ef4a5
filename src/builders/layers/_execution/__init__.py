"""The role by which StackSets deploy the layers of a phase into an account, with what these layers need and no more.

role.py      the role: whom it trusts, and its policies
grants.py    what it may do, on which resources
actions.py   the actions of the layers' types; written by tools.execution_actions
boundary.py  the boundary of the roles that it makes, and what holds it to that boundary
"""
