"""For plugins' own tests: the rules of `semidbench check`, and small data to try a method on.

    import pytest
    from semidbench.testing import quantizer_rules
    from semidbench_sign import Sign

    @pytest.mark.parametrize("rule", quantizer_rules(), ids=str)
    def test_contract(rule):
        rule.check(Sign)

The method runs in separate processes, once for all rules of a test file.

Read `rules`; then `evidence` (what the rules judge), which starts `process` and `worker`. In the worker, `exercise`
calls the method and `watch` sees what it changes. `data` has small worlds to try a method on, and `check` is
`semidbench check`.
"""

from semidbench.testing.data import NearestRows, WordVectors, context, small_world, task_views
from semidbench.testing.rules import Rule, embedder_rules, layout_rules, quantizer_rules, ranker_rules

__all__ = [
    "NearestRows",
    "Rule",
    "WordVectors",
    "context",
    "embedder_rules",
    "layout_rules",
    "quantizer_rules",
    "ranker_rules",
    "small_world",
    "task_views",
]
