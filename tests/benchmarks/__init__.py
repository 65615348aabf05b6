"""Figures against a peer in the same run; run by ``fragrance bench``."""
