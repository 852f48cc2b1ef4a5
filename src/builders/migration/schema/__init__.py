"""Definitions made in the target, each at its own moment.

schema.py       `migrate-database schema`: the plan carried out, and what came of it
schema_plan.py  both sides read, and the steps between them
entries.py      steps of the dump's entries, each at its moment
moments.py      what is made at which moment, and what is taken off for the load and the changes
building.py     indexes, foreign keys and statistics after the load
roles.py        the application's roles, and their passwords as verifiers
passwords.py    new passwords, in secrets
programs.py     pg_dump and pg_restore: where they are, and the definitions that they read
"""
