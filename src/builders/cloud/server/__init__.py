"""The server: started as a child or by hand, with faults on request, accounts, and stored state.

serve.py     socket, directory and environment, before ministack is imported
app.py       the server from ready to stopped
accounts.py  regions and quotas of accounts
faults.py    faults on request
state.py     state that the next server continues with
pages.py     lists in pages
"""
