"""The ordered calls that lead from the current state to the desired one, and what stands in their way. Pure."""
