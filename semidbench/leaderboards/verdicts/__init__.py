"""Verdicts on differences between rows: a test in which both seeds and units vary, and what follows from it.

Read `seed_variance` (how much a row's mean varies between seeds), `crossed_test` (the test of each pair), `column` (the
verdicts of one column), `against` (one row against all others) and `conjunction` (claims of several statements).
"""
