"""Queries by a language model.

Read `prompt`, `answer`, `client`, `ask`, `journal`, and `write`, which calls them.
"""
