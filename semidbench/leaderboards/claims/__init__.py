"""The paper's claims, judged by a leaderboard's tests.

Read `judge`, then `ledger` (all claims as tables) and `compare` (the paper's numbers beside ours).
"""
