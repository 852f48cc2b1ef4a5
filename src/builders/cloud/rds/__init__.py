"""RDS: instances of the engine postgres as real PostgreSQL servers, and one that plays on-premises."""
