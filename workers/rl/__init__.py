"""
Optimising formulas: a batched environment, PPO and a genetic search on it.

``environment`` is numpy and knows no library of learning; ``vector_environment`` puts
it behind stable-baselines3's interface; ``training`` and ``genetic`` search;
``checkpoint`` keeps what they need to go on after a crash; ``optimizer`` turns a stored
formula into a better one and ``tasks`` is thin.  A new method is a function beside
``genetic`` and a line in ``optimizer``.
"""
