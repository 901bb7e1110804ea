"""Made-up numbers about a dataset, as a result file holds them."""

from __future__ import annotations

from semidbench.results import DatasetStamp

FACTS = DatasetStamp(
    sha256="d" * 64,
    items=30,
    users=9,
    train_interactions=90,
    train_queries=60,
    test_users=9,
    test_queries=40,
    shared_query_share=0.025,
    query_recall_ceiling=0.99,
    load=0.94,
    seen_item_share=1.0,
)
