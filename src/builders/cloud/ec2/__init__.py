"""EC2: network resources, their checks, and the names that functions in a VPC resolve.

resources.py  network resources that ministack's EC2 API can show and its CloudFormation cannot make
checks.py     refusals: ids, ranges, zones, names; the zones and prefix lists of a region
addresses.py  elastic IPs, NAT gateways, instances, IPv6 blocks, zone ids
transit_gateways.py  attachments, also of Direct Connect gateways; their route tables; ASNs
interfaces.py  those of functions, which outlive them for a while and keep subnets and security groups
endpoint_services.py  the services that an endpoint can lead to
drift.py      rules, entries, routes and settings as EC2 has them, for drift detection
names.py      interface endpoints, and the TLS server behind their names
name_map.py   the files that say which name is which port of this machine, and the function that reads them
"""
