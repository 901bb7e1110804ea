"""Before a run: what it will cost (`plan`), and what its IDs are like (`inspection`)."""
