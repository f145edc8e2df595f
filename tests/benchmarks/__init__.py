"""Speed and memory, compared with peers: both in one go on the same input, and equality first. `make bench` runs all.

A benchmark is a module with `prepare` (make the input once), functions that load the input and give the call that is
timed, one for us and one for each peer, and `compare`. Every timed part runs in a process of its own.
"""
