"""This machine: devices, memory, arithmetic, and other processes.

Read `device` and `memory`; `identity` names the machine in results. `processes` and `channels` are the two ends of a
pipe to another process. `products` multiplies matrices on a CPU, by the library that `processor` names.
"""
