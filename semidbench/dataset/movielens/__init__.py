"""MovieLens, from a download to a catalogue.

Read `releases`, `locate`, `fetch`; then `read`, which calls `ratings`, `genome` and `descriptions`.
"""
