"""Plugins at work in processes of their own: training data only, within limits of time, memory and output.

Read `work` (a stage as a value), `call` (the interface), `own_process` and `worker` (both sides of the pipe); The same
for imports: `resolver` and `resolver_worker`.
"""
