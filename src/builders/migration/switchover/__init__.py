"""The application's writes moved from one side to the other: cut-over, fall-back, and the end.

command.py        a run on a phase: its outputs and secrets, the question, the result
runs.py           one run: preconditions, question, steps, outage
preconditions.py  what has to hold before a side is closed
steps.py          steps that are journaled, taken up again, and undone before the opening
cutover.py        the steps of the cut-over, and what the fall-back shares with it
fallback.py       the steps of the fall-back
finish.py         the steps of the end, and what is kept
fence.py          no write of the application commits: logins, sessions, triggers, and all of it given back
sequences.py      where sequences have to go on on the other side
"""
