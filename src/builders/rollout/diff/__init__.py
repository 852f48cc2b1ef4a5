"""Current and desired stacks compared: instance by instance, resource by resource. Pure.

changes.py      the change of each instance, and the changes inside its stack
effects.py      modify or replace, by the registry's schemas; custom names
hazards.py      hazards of one stack's update, its changed exports too
set_hazards.py  hazards of stack sets: limits, new parameters, name conflicts
"""
