# Targets that end a run after a stage: snakemake until_stitch. Snakemake's own --until cannot: the shards, and with them the
# jobs of the stages, are known only after the cohort stage. A job that runs two stages has one target, named after the last.


rule until_stitch:
    input:
        lambda wildcards: PLAN.reached("stitch", checkpoints.cohort.get().output[0]),


rule until_segment:
    input:
        lambda wildcards: PLAN.reached("segment", checkpoints.cohort.get().output[0]),


rule until_postprocess:
    input:
        lambda wildcards: PLAN.reached("postprocess", checkpoints.cohort.get().output[0]),


rule until_measure:
    input:
        lambda wildcards: PLAN.reached("measure", checkpoints.cohort.get().output[0]),
