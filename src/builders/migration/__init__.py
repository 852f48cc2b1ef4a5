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
    sequences.py     where sequences have to go on on the other side
    steps.py         steps that are journaled, taken up again, and undone before the opening
    cutover.py       the steps of the cut-over, and what the fall-back shares with it
    fallback.py      the steps of the fall-back
    finish.py        the steps of the end, and what is kept
    preconditions.py what has to hold before a side is closed
    crossing.py      a run on a phase: its outputs and secrets, the question, the result
    runs.py          one run: preconditions, question, steps, outage
    mappings.py      what the task's table mapping carries
    rows.py          digests of rows, made by the servers
    changes.py       the rows that changed since verify, from a logical slot
    verify/          both sides compared
    programs.py      pg_dump and pg_restore: where they are, and the definitions that they read
    roles.py         the application's roles, and their passwords as verifiers
    passwords.py     new passwords, in secrets
    moments.py       what is made at which moment, and what is taken off for the load and the changes
    schema_plan.py   what `schema` will do
    schema.py        definitions made in the target
    check/           everything that the migration would lose or break on
    building.py      indexes, foreign keys and statistics after the load
    start.py         the load, and all that may be built before the cut-over
    slots.py         the source's slots, and how long it can keep its log for them
    metrics.py       the newest values of metrics in CloudWatch
    status.py        one page of where a migration stands
    report/          what was done, for auditors
    task/            the replication task: what DMS says of it, and what may be asked of it
"""
