"""Physical names on which two layers agree without an import between them; `Stack.name` adds the suffix."""

REPLICATION_TASK = "stackferry-task"
"""The migration's replication task, which the rotation of DMS's password asks about before it touches anything."""
