"""The executor of apply, resume, rollback and remove: carries a schedule's calls out and records each one."""
