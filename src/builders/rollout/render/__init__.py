"""Text and JSON of what the commands found and did. Nothing here calls AWS.

plan.py         a plan as text
waves.py        its waves: the changes of resources, with their values
plan_file.py    a plan as JSON, saved and compared
progress.py     the progress of a run
status.py       the state of a phase
results.py      the results of a run, doctor, drift, outputs and bootstrap
"""
