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
    threads: PLAN.threads("merge")
    resources:
        mem_mb=lambda wildcards, attempt: PLAN.mem_mb("merge", wildcards.shard, attempt),
        runtime=lambda wildcards, attempt: PLAN.runtime("merge", wildcards.shard, attempt),
    params:
        config=CONFIG,
        # its images are temporary: any change that affects the final label map needs them again
        settings=PLAN.settings("postprocess"),
        retry=lambda wildcards: PLAN.retry(wildcards.shard),
    shell:
        "python -m dixonflow stage merge --config {params.config:q} --shard {wildcards.shard:q}"
        " --memory-mb {resources.mem_mb} 2> {log:q}"
