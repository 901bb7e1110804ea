"""Results into a leaderboard, and whether results can be what they say.

Read `submit` and `verify`; the checks stand in modules of their own.
"""
