"""Made-up numbers about a dataset and about IDs, as a result file holds them."""

from __future__ import annotations

import numpy as np

from semidbench.api import TASKS, ItemIds, Task
from semidbench.ids.usage import IdUse, id_use
from semidbench.results.cell_result import DatasetStamp

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

_CODES = np.stack([np.arange(30) // 6, np.arange(30) % 6], axis=1)
IDS: dict[Task, IdUse] = dict.fromkeys(TASKS, id_use(ItemIds(_CODES, ("a", "b"), (6, 6))))
