"""
The Celery exporter: what the broker and Celery's events say, for Prometheus.

One process for the whole stack, ``python -m backend exporter``.  It reads the queues
itself because a queue of ours is several lists, which the well-known exporter does not
count.  Only :mod:`backend.admin` imports this package; a new figure goes into
:mod:`backend.exporter.broker` if it is a state and into :mod:`backend.exporter.events` if
it is something that happened.
"""
