"""Two versions of one stack compared: changed resources, old and new values, and the hazards of the update. Pure.

comparison.py  a deployed stack against a template with parameters
effects.py     modify or replace, by the registry's schemas; custom names
values.py      old and new values of changed properties, secrets masked
exports.py     changed exports, and the order of updates that follows from exports and imports
limits.py      limits of a template
names.py       names that stacks give, and conflicts of names
hazards.py     lost data, a broken replication, updates that CloudFormation refuses
"""
