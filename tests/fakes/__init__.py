"""
What stands in for the real thing, so that logic and screens are tested without it.

``runtime``, ``journal`` and ``clock`` implement the ports and pass the same contract suites as
the real adapters; ``stack`` is the fake runtime seen through whole snapshots.  ``engine`` is
what the screens speak to, over ``pictures``, ``operations`` and ``insight`` as a test wants
them; ``hostile`` makes all of it try to break a terminal.
"""
