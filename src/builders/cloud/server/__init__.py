"""The server: started as a child or by hand, with faults on request, accounts, and state that outlives it."""
