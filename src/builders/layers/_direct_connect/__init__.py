"""Resources of Direct Connect in the network account, one module for each kind."""
