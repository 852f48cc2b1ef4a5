"""TODO docstring of tools."""
