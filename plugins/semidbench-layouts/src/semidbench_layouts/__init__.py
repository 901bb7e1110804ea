"""ID layouts for semidbench that learn nothing of their own: shared, separate, three controls, and imported IDs."""
