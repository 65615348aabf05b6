"""The engine: observes, plans, operates and records; headless and synchronous.

Nothing here imports the product (``backend``, ``workers``) or Textual; the one
line that names ``screens`` is in :mod:`console.__main__`.  The order of layers,
from the top, is fixed in ``pyproject.toml`` (import-linter):

    __main__ > cli | agent > bootstrap > engine > collector >
    runtimes | sources | journal | release | steps | operations > checks >
    settings | ports | clock > domain > errors
"""
