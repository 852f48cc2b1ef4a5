"""EC2: network resources, their checks, and the names that functions in a VPC resolve.

resources.py  rules of security groups and entries of network ACLs
checks.py     refusals of EC2
names.py      names that functions in a VPC resolve
name_map.py   the files that map names to ports of this machine
"""
