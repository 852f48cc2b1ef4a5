"""What happens around an apply: bootstrap, packages, rollback, detach, purge."""
