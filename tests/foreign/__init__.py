"""A compose project that knows nothing of this console, and what a test does to it."""
