"""Collaborative item embeddings for semidbench: ENMF through RecBole."""
