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
    threads: PLAN.threads("measure")
    resources:
        mem_mb=lambda wildcards, attempt: PLAN.mem_mb("measure", wildcards.shard, attempt),
        runtime=lambda wildcards, attempt: PLAN.runtime("measure", wildcards.shard, attempt),
    params:
        config=CONFIG,
        settings=PLAN.settings("measure"),
        tables=SCHEMA_VERSION,  # a new schema version rewrites the rows from the records of the scans
        retry=lambda wildcards: PLAN.retry(wildcards.shard),
    shell:
        "python -m dixonflow stage measure --config {params.config:q} --shard {wildcards.shard:q}"
        " --memory-mb {resources.mem_mb} 2> {log:q}"
