"""IAM and STS: permissions of requests, and trust policies of roles.

authorization.py  actions, resources and conditions of requests (`--auth`)
assume_role.py    trust policies
checks.py         refusals of IAM, KMS, Lambda and Logs
"""
