"""Apply, resume, rollback and remove: one loop that asks what is left to do and has StackSets do it.

walk.py        the waves, the layers' graph within each, the places that are held back
lane.py        one layer in one wave: its operations, and what became of its places
plain_lane.py  the same for layers that plain stacks carry
submitting.py  an operation's id is written down, then the call made; what is under way is taken up again
pace.py        how many accounts at once, how many failures, how long to wait
quiet.py       baking: alarms that must stay quiet before the next wave begins
world.py       reads what the loop decides by
report.py      what it came to, and why
watch.py       who looks on
"""
