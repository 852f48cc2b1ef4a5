"""Calls to AWS as all commands make them: credentials, limits, and errors in one tree.

calls.py         every call: its credentials, counted, observed, limited, its errors mapped
boto_clients.py  boto3 clients, one per service and region
errors.py        the errors of AWS
"""
