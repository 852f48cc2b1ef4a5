"""What a phase is like, without changing anything.

status.py       every instance, what runs, the last runs
outputs.py      what every stack put out, as files
drift.py        what is not as its template says, as StackSets detect it
comparing.py    what StackSets call no drift: a stack that was updated directly
doctor/         checks of accounts, roles, regions and quotas, each with its fix
"""
