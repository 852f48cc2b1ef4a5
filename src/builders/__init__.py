"""Builds, proves and rolls out the CloudFormation templates that ferry PostgreSQL databases into Amazon RDS."""
