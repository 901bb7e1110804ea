"""Each item's search queries: from templates, from a file, or from a language model.

Read `facets` and `wording`, then `templates`; `query_files` reads what `llm/` wrote.
"""
