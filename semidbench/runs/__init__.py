"""`semidbench run`: a scheme's way from training data to a result.

Read `run`, `session`, `cell`, then `scheme_stages`, `ranker_stage` and `evaluate`.
"""
