"""Plugins at work in processes of their own: training data only, within limits of time, memory and output.

Read `work` (a plugin's part of a stage as a value) and `call`. Each process has two sides: `own_process` and `worker`
for a stage, `resolver` and `resolver_worker` for imports. What any such
process has stands in `limited_process` and `limited_program`.
"""
