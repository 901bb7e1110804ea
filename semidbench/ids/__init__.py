"""From training data to Semantic IDs.

Read `embedder` (training data to views), `layout` (views to IDs), `vocabulary` (IDs to tokens), `distinct` (the IDs
that exist). `usage` counts what IDs use of their codebooks, and how many items collide.
"""
