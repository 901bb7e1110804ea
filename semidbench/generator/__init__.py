"""The generator: a T5 that learns to write IDs, and exact beam search over the IDs that exist.

Read `examples`, `model`, `training`; then `trie`, `t5_tree`, `beam_search`. The fast arithmetic is
in `t5_loss` and `t5_layers`.
"""
