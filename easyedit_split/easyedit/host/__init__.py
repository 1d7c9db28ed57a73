"""Access to EasyEdit2's own names: find its clone, register methods, repair, wrap and launch it."""
