"""The replication task of a phase: what DMS says of it, and what may be asked of it.

    values.py    a task and its tables as values: status, progress; what may be done next
    reasons.py   why a task stopped or a table failed, in DMS's words, and the way on
    client.py    all calls to DMS about one task, and their errors
    running.py   start, stop, resume, reload: what is asked of DMS, in which order, and the waiting
    showing.py   progress on stderr, the result on stdout, and the question before all is loaded again

CloudFormation makes the task and never starts it, and it cannot change one that runs: stop, deploy, resume.
"""

from typing import Literal

TaskAction = Literal["start", "stop", "resume", "reload", "status"]
