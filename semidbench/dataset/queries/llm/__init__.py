"""Queries written by a language model.

Read `write` first: it plans the work and writes the files. Then, in the order of the data: `prompt`, `client` (one
request), `answer` (its checks), `ask` (many items at a time) and `journal` (every answer on disk).
"""
