"""The command `migrate-database`: carries a phase's database from the first check to the cut-over, and back.

check, schema, start, verify, cutover, then fallback or finish; status, stop, resume and reload at any time.

    cli.py           the command line
    __main__.py      the same as `python -m builders.migration`
    phase.py         what a migration needs to know of its phase: task, endpoints, secrets, role
    databases.py     a session to one side: its login, its statements, PostgreSQL's errors
    definitions.py   tables and columns as values
    rights.py        the rights of each user by step, as data
    journal.py       what every step of a cut-over writes before and after it, and the lock of a phase
    fence.py         no write of the application commits: logins, sessions, triggers, and all of it given back
    marker.py        a row as proof that everything before it arrived
    rows.py          digests of rows, made by the servers
    changes.py       the rows that changed since verify, from a logical slot
    verify/          both sides compared
    task/            the replication task: what DMS says of it, and what may be asked of it
"""
