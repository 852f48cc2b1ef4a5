"""The API of DMS over the records that CloudFormation makes, and the replication behind it: rows that move as with DMS.

What is asked:

    api.py          the operations, what IAM has to know of a request, and the way that requests take to them
    describing.py   records of CloudFormation as DMS describes them: filters, pages, markers
    tasks.py        the life of a task: ready, starting, running, stopping, stopped, failed; its events and progress
    connections.py  the tests of endpoints, which a task's start asks for
    assessments.py  premigration assessments, started and described
    faults.py       the errors of the API by name

What a task is told:

    endpoints.py    an endpoint as a way into a database: its secret, its address, TLS, extra attributes
    mappings.py     table mappings: which tables, under which names, without which columns
    settings.py     task settings: all keys, their defaults

What it does:

    replication.py  one run of a task: from its start over the load to the changes
    tables.py       the tables that it carries: columns, keys, and how DMS takes each type
    load.py         the full load of a table
    loads.py        the loads side by side, and the changes that are kept meanwhile
    capture.py      the changes of the source, from its logical slot
    apply.py        transactions into the target, in order and exactly once; the policies for errors
    statements.py   the SQL of one change
    control.py      the control tables awsdms_* in the target
    validation.py   both sides compared row by row
    reporting.py    its log, its statistics, its metrics
    troubles.py     what stops a task, and which errors are of which kind

Tasks, instances and endpoints come from CloudFormation alone; Create and Delete operations are not offered. A task
whose endpoints lead to no database of the embedded cloud has nothing to load, and its life is what a test decides.
"""
