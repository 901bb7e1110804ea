"""Plugins in separate processes: with training data only, and within limits of time, memory and output.

Read `work` (a plugin's part of a stage as a value, and everything that it receives) and `call` (the interface). Each
process has two sides: `own_process` and `worker` for a stage, `resolver` and `resolver_worker` for imports. Both use
`limited_process` and `limited_program`; `questions` are what a ranker is asked. `limits`, `output` and
`clocked_encoder` measure time, memory and output. `this_process` is for debuggers: no process, no limits.
"""
