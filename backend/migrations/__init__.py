"""
Schema migrations: packaged, so that any image can bring a database to its own revision.

``versions`` has one file per revision, each with its class: ``expand`` (the release
before still works on it) or ``contract`` (it does not, so it never runs in a rolling
deploy).  ``runner`` runs them under a lock.  Make a new one with
``python -m backend migrate create MESSAGE --class expand``, then read it.
"""
