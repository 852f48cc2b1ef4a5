"""The ordered calls that lead from the current state to the desired one, and what blocks them. Pure.

changes.py   the change of each instance
schedule.py  waves, layers in order, and their calls
calls.py     the fewest calls for one stack set, and the accounts that each may work on at once
plan.py      the plan: what becomes of every instance, and an estimate of time
hazards.py   the hazards of every stack and of stack sets: limits, new parameters, name conflicts
"""
