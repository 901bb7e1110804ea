"""Collaborative item embeddings and ENMF as a ranker for semidbench, through RecBole."""
