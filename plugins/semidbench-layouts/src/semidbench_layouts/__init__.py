"""ID layouts for semidbench that learn nothing of their own: shared, separate, and three controls."""
