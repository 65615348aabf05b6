"""Adapters of what runs replicas; each passes ``tests/contract``."""
