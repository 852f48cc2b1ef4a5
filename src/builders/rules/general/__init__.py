"""Rules for any template."""
