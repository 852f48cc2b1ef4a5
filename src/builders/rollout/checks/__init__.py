"""Commands that look at a phase and change nothing: doctor, status, outputs, drift."""
