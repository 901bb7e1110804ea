"""What is kept on disk.

Read `stages` (outputs under a hash of what determines them) and `fingerprint` (hashes of code). `files` writes files
that appear complete or not at all; `json_text` and `plain_values` say what may be in them.
"""
