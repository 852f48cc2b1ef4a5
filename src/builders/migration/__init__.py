"""The command `migrate-database`: carries a phase's database from the first check to the cut-over, and back.

check, schema, start, verify, cutover, then fallback or finish; status, stop, resume, reload and rotate at any time.

    cli.py           the command line
    options.py       the options that several of its subcommands take
    __main__.py      the same as `python -m builders.migration`
    phase.py         what a migration needs to know of its phase: task, endpoints, secrets, role
    databases.py     a session to one side: its login, its statements, PostgreSQL's errors
    definitions.py   tables and columns as values
    mappings.py      what the task's table mapping carries
    rights.py        the rights of each user by step, as data
    journal.py       what every step writes before and after it, and the lock of a phase
    marker.py        a row as proof that everything before it arrived
    rows.py          digests of rows, made by the servers
    changes.py       the rows that changed since verify, from a logical slot
    metrics.py       what CloudWatch knows of a phase
    slots.py         the source's slots, and how long it can keep its log for them
    check/           everything that the migration would lose or break on
    schema/          definitions made in the target, each at its own moment
    start.py         the load, and all that may be built before the cut-over
    rotate.py        a new password for DMS's user in the target
    verify/          both sides compared
    switchover/      cut-over, fall-back, and the end
    status.py        one page of where a migration stands
    report/          what was done, for auditors
    task/            the replication task: what DMS says of it, and what may be asked of it
"""
