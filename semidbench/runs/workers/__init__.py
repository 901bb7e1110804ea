"""Cells side by side, in separate processes.

Read `jobs` (what can run side by side), `scheduler` and `worker` (both ends of the pipe); `capacity` says how many fit.
"""
