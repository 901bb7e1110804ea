"""ID layouts for semidbench that learn their own codebooks from two views: prefix-share and GenSAR."""
