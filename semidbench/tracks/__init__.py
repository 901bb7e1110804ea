"""Tracks: every number of the protocol, as validated TOML beside these modules."""
