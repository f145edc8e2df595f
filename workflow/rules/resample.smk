# Stitched contrasts onto the grid of models that resample first; nothing to do for other models.
rule resample:
    input:
        f"{RESULTS}/stitch/{{shard}}.parquet",
    output:
        f"{RESULTS}/resample/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/resample/{{shard}}.log",
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.threads("resample")
    resources:
        mem_mb=lambda wildcards, attempt: PLAN.mem_mb("resample", wildcards.shard, attempt),
        runtime=lambda wildcards, attempt: PLAN.runtime("resample", wildcards.shard, attempt),
    params:
        config=CONFIG,
        # its images are temporary: any change that affects the final label map needs them again
        settings=PLAN.settings("postprocess"),
        retry=lambda wildcards: PLAN.retry(wildcards.shard),
    shell:
        "python -m dixonflow stage resample --config {params.config:q} --shard {wildcards.shard:q}"
        " --memory-mb {resources.mem_mb} 2> {log:q}"
