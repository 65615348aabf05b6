"""
The Celery workers: everything that consumes a queue.

``python -m workers`` is the only way in.  Modules at this level know Celery,
Redis and the job table and are shared by both kinds; :mod:`workers.llm` and
:mod:`workers.rl` hold one kind each and do not know each other.  Nothing outside
this package may import it; it may import ``backend.contracts`` and
``backend.database``.  A new kind of task: payload in ``backend.contracts``, a thin
function in ``workers/<kind>/tasks.py``, its logic beside it without Celery.
"""
