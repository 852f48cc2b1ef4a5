"""Current and desired stacks compared: instance by instance, resource by resource. Pure.

instances.py    the change of each instance
templates.py    templates as data, and the values that stacks are deployed with
resources.py    the changes inside one stack
effects.py      modify or replace, by the registry's schemas
exports.py      exports and imports
hazards.py      hazards of one stack's update
set_hazards.py  hazards of stack sets: limits, new parameters, name conflicts
"""
