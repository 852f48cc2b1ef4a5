"""All boto3 of the rollout: sessions, calls, errors, and one module for each service that it asks."""
