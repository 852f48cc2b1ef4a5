"""CloudFormation: every type of the registry as a resource, and templates and stacks as AWS judges them.

templates.py      refusals of templates and parameters
stacks.py         stack operations, exports, replacements, snapshots
change_sets.py    change sets, and stack operations that continue in the next server
properties.py     properties against the registry's schemas
records.py        resources of types that ministack does not have
attributes.py     ids, ARNs and other values that AWS would choose
cloud_control.py  Cloud Control, drift detection and import
"""
