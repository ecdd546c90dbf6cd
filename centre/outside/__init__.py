"""The services outside, for tests and the demo: each checks what we send against its documented contract."""
