"""Rules for RDS."""
