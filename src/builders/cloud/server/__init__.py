"""The server in front of the services.

serve.py     its socket, directory and environment, before ministack is imported
app.py       the order of the patches, the handlers, and the life of a server
web_pages.py requests of web pages and of other users are refused
signatures.py signatures of all requests, and the secrets of root users and functions (`--auth`)
callers.py   the user of this machine at the other end of a connection
state.py     state that outlives the server (`--keep`)
faults.py    calls that fail on request
accounts.py  the regions and quotas of an account: Account Management and Service Quotas
pages.py     pages, and the tokens of the next
lists.py     lists of IAM, RDS and EC2: pages, filters, ids that are not there
"""
