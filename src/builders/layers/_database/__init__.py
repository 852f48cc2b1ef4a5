"""Parts of the database layer: what an environment may choose, and how the database is watched."""
