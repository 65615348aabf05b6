"""The real stack, started by the tests themselves."""
