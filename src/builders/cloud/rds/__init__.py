"""RDS: instances of the engine postgres as real PostgreSQL servers, and one that plays on-premises.

instances.py    AWS::RDS::DBInstance: the record, and the server behind it
operations.py   reboot, snapshot, restore and delete through RDS's own API
checks.py       refusals: versions, classes, names, combinations
parameter_groups.py  parameters that there are, and groups in use
postgres.py     PostgreSQL servers with TLS, and the installation that they run from
guard.py        starts a server as another user, and lets it end with us: a script of its own
on_premises.py  a PostgreSQL that plays the source, under a name of its own
"""
