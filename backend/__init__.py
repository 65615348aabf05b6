"""
The application of the product: HTTP interface, database, dispatch of jobs.

``contracts`` and ``database`` are shared with the workers, which may import nothing
else from here; the application in turn sends tasks by name and never imports the
workers, so that its image carries no model library.  A new endpoint goes to ``api``,
what it decides to ``services``, a new table to ``database`` with a migration beside it.
"""
