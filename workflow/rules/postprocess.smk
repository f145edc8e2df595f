# Label maps of the contrasts to one, surplus components out, final label map in place, temporary images away.
rule postprocess:
    input:
        f"{RESULTS}/segment/{{shard}}.parquet",
        # the label maps that scans take which are not segmented
        lambda wildcards: PLAN.labels_for(wildcards.shard),
    output:
        f"{RESULTS}/merge/{{shard}}.parquet",
        f"{RESULTS}/postprocess/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/postprocess/{{shard}}.log",
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.threads("postprocess")
    resources:
        mem_mb=lambda wildcards, attempt: PLAN.mem_mb("postprocess", wildcards.shard, attempt),
        runtime=lambda wildcards, attempt: PLAN.runtime("postprocess", wildcards.shard, attempt),
    params:
        config=CONFIG,
        settings=PLAN.settings("postprocess"),
        retry=lambda wildcards: PLAN.retry(wildcards.shard),
    shell:
        "python -m dixonflow stage merge postprocess --config {params.config:q} --shard {wildcards.shard:q}"
        " --memory-mb {resources.mem_mb} 2> {log:q}"
