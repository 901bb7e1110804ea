"""The BM25 ranker for semidbench: words of a query, or of a history's items, in the items' texts."""
