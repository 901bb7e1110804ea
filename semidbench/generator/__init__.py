"""The generator: a T5 that learns to write IDs, and exact beam search over the IDs that exist.

Read `examples` (prompts and targets), `model`, `training` and `checkpoint`; then `trie` (the IDs that exist), `t5_tree`
(the decoder over prefixes) and `beam_search`. `t5_loss` and `t5_layers` do T5's arithmetic faster than transformers:
`packing` lays a batch out without padding, and `t5_gradients` has gradients that are written out. `recorded` replays
work on a graphics card. `replicas` and `data_parallel/` train one generator on several graphics cards.
"""
