"""Methods: what plugins register, found by the words of a scheme, and held to their contracts.

Read `scheme`, `registry`, `options`, then `resolved` and `resolve`; `contracts` checks what methods return.
"""
