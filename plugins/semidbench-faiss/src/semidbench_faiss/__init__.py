"""The quantizers rq-kmeans and kmeans for semidbench, by FAISS."""
