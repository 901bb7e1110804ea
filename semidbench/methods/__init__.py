"""Methods: what plugins register, how a scheme finds them, and the checks of what they return.

Read `scheme` (names), `registry` (installed plugins) and `options`; then `named`, `resolved` and `resolve` (a scheme's
methods, found and built). `providers` names the distribution of a method that is not installed. `contracts` checks what
methods return, `failure` and `traces` report what they raise, `plugin_code` hashes their code, and `scaffold` writes a
new plugin.
"""
