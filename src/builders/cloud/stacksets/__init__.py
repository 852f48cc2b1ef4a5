"""CloudFormation StackSets: stack sets whose member stacks are real stacks of the member accounts.

api.py             the operations by name; puts them into ministack
callers.py         CallAs; the set that a request names
sets.py            CreateStackSet to DeleteStackSet, organizations access, automatic targets
imports.py         ImportStacksToStackSet: stacks that stand already become members
instances.py       CreateStackInstances to ListStackInstances
operations.py      DescribeStackSetOperation and the lists of operations and results; drift detection
targets.py         accounts, organizational units, account filters
templates.py       a set's template and parameters, overrides, what a member stack gets
queue.py           operation ids; one operation at a time, or managed execution
engine.py          preferences, and how an operation goes through regions and accounts
members.py         member stacks: create, update, delete, drift
permissions.py     the two roles of self-managed sets, what the execution role and callers may do
autodeployment.py  accounts that join and leave organizational units
model.py           what is kept, and what a test decides: durations, lags, quotas, failing accounts
views.py           what is shown, page by page
"""
