"""Rules for networks."""
