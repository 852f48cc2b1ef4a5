"""The parts of the monitoring layer: what is watched, the alarms, the dashboard, the events, the function."""
