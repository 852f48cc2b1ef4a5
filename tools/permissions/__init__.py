"""The permissions of `rollout-stacksets`: the calls of each command, as policies and as docs/permissions.md.

grants.py    who calls what on which resources, and why
commands.py  the grants of each command, and its policies
__main__.py  docs/permissions.md
"""
