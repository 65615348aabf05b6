"""Pure functions and single classes."""
