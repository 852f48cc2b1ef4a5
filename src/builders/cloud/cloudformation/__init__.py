"""CloudFormation: templates, stacks, and every type of the registry as a resource.

parsing.py        bodies of templates, in YAML and JSON, and where they come from
parameters.py     patterns of Java, public parameters
functions.py      intrinsic functions
templates.py      templates and parameters, judged before a stack exists
stacks.py         stack operations where ministack's differ: replacement, events, exports, change sets
resuming.py       stack operations that a killed server left go on in the next
checks.py         the checks in front of every resource handler
records.py        resources of types that ministack does not know, made from their schemas
attributes.py     values of attributes that AWS would choose: ids, ARNs
cloud_control.py  the same resources through Cloud Control, drift detection and import
"""
