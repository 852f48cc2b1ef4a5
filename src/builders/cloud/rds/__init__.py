"""RDS: instances of the engine postgres as real PostgreSQL servers, and one on premises.

instances.py      AWS::RDS::DBInstance
operations.py     reboot, snapshot, restore and delete
checks.py         refusals of RDS
postgres.py       PostgreSQL servers with TLS
installations.py  the PostgreSQL programs of this machine
guard.py          a server that ends with its parent process
on_premises.py    the source database, under a name of its own
"""
