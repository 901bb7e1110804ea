"""Text: the track's frozen encoder, pretrained models, and the generator's tokenizer.

Read `encoder`, then its two kinds, `lsa` and `sentence_model`; `stored_encoder` keeps encodings on disk. `pretrained`
finds pinned models. `tokenizer` has the generator's text tokens.
"""
