"""What all cells of a run share: a track opened on this machine.

Read `dataset` (the stage that later ones build on), `tokenizer` and `query_tokens`; `session` puts them together, and
`inputs` is what stages receive of it.
"""
