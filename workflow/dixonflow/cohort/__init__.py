"""The cohort stage: find every scan in the raw folders, look into it, and put it into a shard.

`build.build_cohort` is the stage; `reader.read_stations` gives the images of one scan to the next stage.
"""
