"""The cohort stage: find every scan in the raw folders, inspect it, and assign it to a shard.

`build.build_cohort` is the stage; `reader.read_stations` gives the images of one scan to the next stage.
"""
