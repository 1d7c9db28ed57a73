"""Everything that touches EasyEdit2's own names: finding its clone, registering, repairing, wrapping, launching."""
