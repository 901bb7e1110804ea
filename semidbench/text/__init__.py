"""Text: the track's frozen encoder, pretrained models, and the generator's tokenizer."""
