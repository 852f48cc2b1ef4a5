"""Physical names on which two layers agree without an import between them; `Stack.name` adds the suffix."""

REPLICATION_TASK = "stackferry-task"
"""The migration's replication task, which the rotation of DMS's password asks about before it touches anything."""

REPLICATION_TASK_RESOURCE = "ferry-task"
"""The end of the task's ARN; DMS takes 31 characters here, one fewer than the task's name can have."""

REPLICATION_INSTANCE = "stackferry-replication"
"""The replication instance, by whose name CloudWatch knows its metrics and its log group is called."""
