"""IAM and STS.

checks.py         refusals: names, trust policies, permission policies
entities.py       groups, memberships, keys and inline policies of templates; attachments
assume_role.py    AssumeRole, which the trust policy of the role decides
permissions.py    what a role may do, as another service asks it
conditions.py     condition keys that ministack's evaluator does not know, and boundaries of roles of templates
authorization.py  the parts of a request that ministack's evaluator does not know (`--auth`)
"""
