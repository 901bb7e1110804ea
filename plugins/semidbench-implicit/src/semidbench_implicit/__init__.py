"""ALS, BPR and item-kNN as rankers for semidbench, and ALS item factors as an embedder, by the library implicit."""
