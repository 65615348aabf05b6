"""
Language models: brief in plain words → formula.

``tasks`` is thin; ``composer`` holds the rules (what the model wrote is parsed,
judged, never replaced); ``engine`` batches requests of many threads over one
model; ``model`` is the only module that knows torch and transformers; ``builtin``
and ``corpus`` make the packaged small model.  A new model family is an entry in
``workers/configs/llm_ensemble.yaml``.
"""
