"""Queries written by a language model: prompt, answer, client, the asking, the journal, and the files it ends in."""
