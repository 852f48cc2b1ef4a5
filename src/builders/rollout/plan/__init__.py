"""The ordered calls that lead from the current state to the desired one, and what blocks them. Pure.

schedule.py  waves, layers in order, and their calls
calls.py     the fewest calls for one stack set, and the accounts that each may work on at once
plan.py      the plan: changes and hazards of every stack, and an estimate of time
"""
