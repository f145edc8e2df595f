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
        mem_mb=lambda wildcards, attempt: PLAN.beside_mb(wildcards.shard)
        + attempt * PLAN.memory_mb(wildcards.shard, 3400),
        runtime=lambda wildcards, attempt: attempt * PLAN.minutes(wildcards.shard, 1),
    params:
        config=CONFIG,
        settings=PLAN.settings("postprocess"),
        retry=lambda wildcards: PLAN.retry(wildcards.shard),
    shell:
        "python -m dixonflow stage postprocess --config {params.config:q} --shard {wildcards.shard:q}"
        " --memory-mb {resources.mem_mb} 2> {log:q}"
