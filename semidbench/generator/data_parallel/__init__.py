"""One training on several graphics cards.

Read `launch`, which starts one `worker` per card, then `share`, what a worker computes.
"""
