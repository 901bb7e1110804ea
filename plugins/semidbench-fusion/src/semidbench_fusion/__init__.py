"""Fused embedders for semidbench: search and recommendation embeddings combined."""
