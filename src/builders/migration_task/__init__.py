"""The command `migration-task`: starts, stops, resumes and reloads the replication task of a phase, and says how it is.

    task.py      a task and its tables as values: status, progress; what may be done next
    reasons.py   why a task stopped or a table failed, in DMS's words, and the way on
    client.py    all calls to DMS, and their errors
    running.py   start, stop, resume, reload: what is asked of DMS, in which order, and the waiting
    asking.py    the question before all tables are loaded again
    showing.py   progress on stderr, the result on stdout
    command.py   the command line
    __main__.py  the same as `python -m builders.migration_task`

CloudFormation makes the task and never starts it, and it cannot change one that runs: stop, deploy, resume.
"""
