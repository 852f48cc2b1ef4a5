"""Rules for CloudWatch alarms, dashboards and EventBridge patterns."""
