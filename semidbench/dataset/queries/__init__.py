"""Each item's search queries: from templates, from a file, or from a language model.

Read `facets` and `wording`, then `templates`, which uses both. `query_files` reads a file of queries, and `llm/` writes
one.
"""
