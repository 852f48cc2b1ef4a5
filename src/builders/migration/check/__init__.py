"""The check of a source, and of the target where it stands: everything that a migration by DMS loses or breaks on.

Hazards are data, asked for by a few statements; findings are values, and a report is made of them.

    hazards.py       what a hazard is: query, what happens, remedy, severity; what the queries begin with
    server.py        settings, slots, versions, transactions, encoding
    tables.py        keys, partitions, names, constraints
    columns.py       types and what becomes of them, large values, generated columns
    objects.py       sequences, triggers, functions, and what belongs to no schema
    extensions.py    which extensions RDS has
    table_rules.py   the rules of single tables, read and offered
    measured.py      what the values themselves show, where it is asked for
    sizes.py         sizes, rates, how long a load takes and how long a pause may last
    assessment.py    DMS's own premigration assessment
    accepted.py      the findings that were accepted by name
    report.py        all of it asked for, as one report
    undeployed.py    a phase before its deployment
    running.py       a run of the command
    showing.py       the report for people and programs
"""
