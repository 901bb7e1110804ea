"""The paper's track at its size on made data: what `python -m benchmarks.rehearse` measures, stage by stage.

`release` and `models` make what a user brings, `place` opens it as a run would. `data`, `methods`, `generator` and
`results` measure the stages, each some of its work; `parts` says how much of it the whole track has.
"""
