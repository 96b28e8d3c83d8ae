"""Checkpoints in a fixed number of slots: `schedule` says which steps to run again, `slots` runs them.

Not checkpoints at even distances, which need no plan: those are `bptt.segments` with keep="boundaries".
"""
