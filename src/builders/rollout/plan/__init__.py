"""The ordered calls that lead from the current state to the desired one, and what blocks them. Pure.

schedule.py  waves, layers in order, and their calls
order.py     the order of layers
calls.py     the fewest calls for one stack set, and the accounts that each may work on at once
hazards.py   changes and hazards of every stack of a plan
plan.py      the plan, with its estimate of time
"""
