"""For plugins' own tests: the rules of `semidbench check`, and small data to try things on.

    import pytest
    from semidbench.testing import quantizer_rules
    from semidbench_sign import Sign

    @pytest.mark.parametrize("rule", quantizer_rules(), ids=str)
    def test_contract(rule):
        rule.check(Sign)

The method is put to work in processes of its own, once for all rules of a test file.
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
