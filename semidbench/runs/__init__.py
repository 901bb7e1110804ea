"""`semidbench run`: a scheme's way from training data to a result.

Read `run`, then `rows` (those that were asked for), `shared/` (a track opened on this machine), `cell`, `stages/` (a
cell's stages, a module each) and `evaluate` (stages to a result). `failures` keeps cells that failed, `reporter` is
what a run reports to, and `workers/` runs cells side by side.
"""
