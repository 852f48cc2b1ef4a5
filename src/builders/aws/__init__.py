"""Calls to AWS as all commands make them: credentials, limits, and errors in one tree.

calls.py         every call: its credentials, counted, observed, limited, made again, its errors mapped
limiter.py       the pace of calls, which is found by what AWS throttles
boto_clients.py  boto3 clients, one per service and region
networks.py      attachments of transit gateways, and the zones of services
errors.py        the errors of AWS
"""
