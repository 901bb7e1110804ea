"""The quantizers rq-vae and residual-lfq for semidbench, by vector-quantize-pytorch."""
