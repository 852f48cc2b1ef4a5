"""What would stop a rollout, found before it: named checks, each for itself, each finding with its fix.

patient.py       whom the checks look at
findings.py      what they say
running.py       the list of checks, and how they are run
identity.py      the credentials
roles.py         roles that are there, trust whom they must, and can be assumed
trust.py         whom a trust policy trusts. Pure
organization.py  trusted access, delegated administrators, accounts that left or are closed
regions.py       regions that accounts have switched on
quotas.py        how many stack sets and instances AWS allows
limits.py        what a template may hold, and what StackSets take. Pure
buckets.py       packages in every region, readable by the accounts
standing.py      INOPERABLE instances, a run that did not end
"""
