"""A/A: a scheme against itself. Read `measure`, then `tables`."""
