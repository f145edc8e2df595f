# Volumes, fat and quality of every scan, and its overview picture.
rule measure:
    input:
        f"{RESULTS}/postprocess/{{shard}}.parquet",
    output:
        outcomes=f"{RESULTS}/measure/{{shard}}.parquet",
        measurements=f"{RESULTS}/measure/{{shard}}.measurements.parquet",
        quality=f"{RESULTS}/measure/{{shard}}.quality.parquet",
    log:
        f"{RESULTS}/logs/measure/{{shard}}.log",
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: PLAN.beside_mb(wildcards.shard)
        + attempt * PLAN.memory_mb(wildcards.shard, 3400),
        runtime=lambda wildcards, attempt: attempt * PLAN.minutes(wildcards.shard, 1),
    params:
        config=CONFIG,
        settings=PLAN.settings("measure"),
        tables=SCHEMA_VERSION,  # another one: its rows are written anew, from the records of the scans
        retry=lambda wildcards: PLAN.retry(wildcards.shard),
    shell:
        "python -m dixonflow stage measure --config {params.config:q} --shard {wildcards.shard:q}"
        " --memory-mb {resources.mem_mb} 2> {log:q}"
