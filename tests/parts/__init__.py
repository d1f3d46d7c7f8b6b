"""Real counterparts that tests start on loopback: one module each, one class each, used as a context manager.

`tests/parts/install.sh` installs them into `.parts/`.
"""
