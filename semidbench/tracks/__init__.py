"""Tracks: every number of an experiment, validated. The built-in tracks are TOML files in this folder.

Read `track` first (what a track holds), with `section` and `recipes`; then `files` (how a track is found and read) and
`extends` (what a track takes from another).
"""
