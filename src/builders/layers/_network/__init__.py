"""The parts of the network layer, one module for each kind of thing that it makes."""
