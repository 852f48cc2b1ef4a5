"""Rules for DMS."""
