"""This machine: devices, memory, arithmetic, and programs beside this one."""
