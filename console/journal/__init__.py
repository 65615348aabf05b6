"""Durable records: operations, audit chain, history of figures."""
