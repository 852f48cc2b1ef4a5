"""Commands that read a phase and change nothing.

status.py        every instance, running operations, releases
outputs.py       outputs of all stacks, as files
drift.py         drift, and stacks that somebody updated directly
change_sets.py   the changes of a plan as AWS names them (`plan --change-sets`)
doctor.py        the list of checks before a rollout
findings.py      their findings, and the phase that they check
permissions.py   checks of roles and of the organization
values.py        values of targets and of all phases, judged before anything is made
"""
