# Series of a station to one image per contrast.
rule stitch:
    input:
        f"{RESULTS}/cohort/shards/{{shard}}.json",
        str(PLAN.results.look_again),
    output:
        f"{RESULTS}/stitch/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/stitch/{{shard}}.log",
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.threads("stitch")
    resources:
        mem_mb=lambda wildcards, attempt: PLAN.mem_mb("stitch", wildcards.shard, attempt),
        runtime=lambda wildcards, attempt: PLAN.runtime("stitch", wildcards.shard, attempt),
    params:
        config=CONFIG,
        members=lambda wildcards: PLAN.members(wildcards.shard),
        # images that are not kept are needed again by any later change
        settings=PLAN.settings("stitch" if PLAN.config.keep.stitched else "measure"),
        retry=lambda wildcards: PLAN.retry(wildcards.shard),
    shell:
        "python -m dixonflow stage stitch --config {params.config:q} --shard {wildcards.shard:q}"
        " --memory-mb {resources.mem_mb} 2> {log:q}"
