"""The stages of a cell, a module each: what determines its output (its key), and computing it.

In the order of the data: `embed`, `assign_ids`, `train`, `decode` for a scheme; `rank` for a reference. All build on
`runs.shared`. `attempt` keeps a run from trying a stage twice that a plugin failed in.
"""
