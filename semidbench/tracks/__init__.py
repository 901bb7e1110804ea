"""Tracks: every number of the protocol, as validated TOML beside these modules.

Read `track` first (what a track holds), with `section` and `recipes`; then `files` (how one is found
and read) and `extends` (what a track takes from another).
"""
