"""What Direct Connect asks of the network account, one module for each kind of thing."""
