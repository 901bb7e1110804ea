"""This machine: devices, memory, arithmetic, and other processes.

Read `device` and `memory`; `identity` names the machine in results. `processes` and `channels` are the two ends of a
pipe to another process. `onednn` multiplies matrices on a CPU.
"""
