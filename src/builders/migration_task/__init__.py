"""The command `migration-task`: starts, stops and resumes the replication task of a phase, and says how it is.

    task.py      a task as values: status, progress, why it stopped; what may be done next
    client.py    all calls to DMS, and their errors
    running.py   start, stop, resume: what is asked of DMS, in which order, and the waiting
    showing.py   progress on stderr, the result on stdout
    command.py   the command line
    __main__.py  the same as `python -m builders.migration_task`

CloudFormation makes the task and never starts it, and it cannot change one that runs: stop, deploy, resume.
"""
