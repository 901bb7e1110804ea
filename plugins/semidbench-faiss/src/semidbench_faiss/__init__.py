"""The rq-kmeans quantizer for semidbench: FAISS ResidualQuantizer."""
