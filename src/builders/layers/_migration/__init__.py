"""The parts of the migration layer: the choices of its instance, its endpoints, its task."""
