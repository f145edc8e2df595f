# Stitched contrasts to label maps, one process and one load of the network per shard. The next scan is brought onto the
# grid of models that resample first, while the network works on one.
rule segment:
    input:
        f"{RESULTS}/stitch/{{shard}}.parquet",
    output:
        f"{RESULTS}/resample/{{shard}}.parquet",
        f"{RESULTS}/segment/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/segment/{{shard}}.log",
    conda:
        f"../../envs/{PLAN.environment}.yaml"
    threads: PLAN.threads("segment")
    resources:
        mem_mb=lambda wildcards, attempt: PLAN.mem_mb("segment", wildcards.shard, attempt),
        runtime=lambda wildcards, attempt: PLAN.runtime("segment", wildcards.shard, attempt),
        gres="" if PLAN.config.segment.device == "cpu" else "gpu:1",
    params:
        config=CONFIG,
        # its images are temporary: any change that affects the final label map needs them again
        settings=PLAN.settings("postprocess"),
        retry=lambda wildcards: PLAN.retry(wildcards.shard),
    shell:
        "python -m dixonflow stage resample segment --config {params.config:q} --shard {wildcards.shard:q}"
        " --memory-mb {resources.mem_mb} 2> {log:q}"
