# Label maps of the contrasts to one label map.
rule merge:
    input:
        f"{RESULTS}/segment/{{shard}}.parquet",
    output:
        f"{RESULTS}/merge/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/merge/{{shard}}.log",
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards: PLAN.memory_mb(wildcards.shard, 4000),
        runtime=PLAN.minutes(1),
    params:
        config=CONFIG,
        settings=PLAN.settings("merge"),
        retry=lambda wildcards: PLAN.retry(wildcards.shard),
    shell:
        "python scripts/merge.py --config {params.config} --shard {wildcards.shard}"
        " --memory-mb {resources.mem_mb} 2> {log}"
