"""Measurements of semidbench's speed, each part against its peer in one run.

docs/reference/performance.md says what and why. `rq_vae` measures no speed, but RQ-VAE without its two protections:
docs/explanation/rq-vae.md.
"""
