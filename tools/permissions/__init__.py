"""TODO docstring of tools.permissions."""
