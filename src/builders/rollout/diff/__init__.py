"""The difference between a phase as it is and as desired: instance by instance, resource by resource. Pure."""
