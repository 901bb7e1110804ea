"""From training data to Semantic IDs.

Read `embedder` (training data to views), `layout` (views to IDs), `vocabulary` (IDs to tokens).
"""
