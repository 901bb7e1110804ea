"""Measurements of semidbench's speed, each against its peer in one run: docs/performance.md says what and why."""
