# Surplus components out, final label map in place, temporary images away.
rule postprocess:
    input:
        f"{RESULTS}/merge/{{shard}}.parquet",
    output:
        f"{RESULTS}/postprocess/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/postprocess/{{shard}}.log",
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * PLAN.memory_mb(wildcards.shard, 4000),
        runtime=lambda wildcards, attempt: attempt * PLAN.minutes(wildcards.shard, 1),
    params:
        config=CONFIG,
        settings=PLAN.settings("postprocess"),
        retry=lambda wildcards: PLAN.retry(wildcards.shard),
    # 600 MB of the job are for Snakemake and for the process that watches the one that works.
    shell:
        "python scripts/postprocess.py --config {params.config} --shard {wildcards.shard}"
        " --memory-mb $(({resources.mem_mb} - 600)) 2> {log}"
