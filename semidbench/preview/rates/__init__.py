"""What this machine takes for a track's work, measured before a run; no bit of a result depends on it.

Read `kept` (where rates are kept and what they hold for), then `generator` (processes side by side time training and
decoding; `worker` is such a process, `timing` and `texts` are its measurements), and `methods` (the stages of plugins,
from the `records` of earlier runs or from a probe; `trial` is one stage of a probe, `stage_time` what became of it).
"""
