"""CloudFormation: templates, stacks, and every type of the registry as a resource.

wire.py              requests and answers as botocore's model describes them; errors with their sentences
requests.py          requests on stacks, checked before ministack does what they ask
parsing.py           bodies of templates, in YAML and JSON, and where they come from
forms.py             the form of a template: what is refused before anybody looks at what it says
arguments.py         which functions a template may call, and what each takes
functions.py         intrinsic functions where ministack's differ
parameters.py        patterns of Java, public parameters
templates.py         what a template refers to, its parameters, and what of it is made
early_validation.py  what is found before anything is made, and DescribeEvents
change_sets.py       change sets: what they list, when they are taken, what is left of them
descriptions.py      answers about stacks
stacks.py            stack operations where ministack's differ: replacement, tags, snapshots, exports, deleted stacks
updates.py           events of what changes and of nothing else, rollback triggers, operations that fail otherwise
stack_policies.py    which resources an update may modify, replace or delete
resuming.py          stack operations that a killed server left go on in the next
checks.py            the checks in front of every resource handler
records.py           resources of types that ministack does not know, made from their schemas
attributes.py        values of attributes that AWS would choose: ids, ARNs
cloud_control.py     the same resources through Cloud Control, and import
drift.py             properties as the services have them, for drift detection
"""
