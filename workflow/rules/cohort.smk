# Finds every scan in the raw folders and writes the immutable shard lists. The one checkpoint: its output names the
# shards. scans.parquet is not an output: Snakemake would remove it before the next run, which reuses its rows.
checkpoint cohort:
    input:
        str(PLAN.results.look_again),
    output:
        f"{RESULTS}/cohort/shards.txt",
        f"{RESULTS}/cohort/scans.sha256",
    log:
        f"{RESULTS}/logs/cohort.log",
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.threads("cohort")
    resources:
        mem_mb=lambda wildcards, attempt: PLAN.mem_mb("cohort", attempt=attempt),
        runtime=PLAN.runtime("cohort"),
    params:
        config=CONFIG,
        raw=lambda wildcards: PLAN.raw_listing(),
        retry=lambda wildcards: PLAN.retry("cohort"),
    shell:
        "python -m dixonflow cohort --config {params.config:q} --jobs {threads}"
        " --memory-mb {resources.mem_mb} 2> {log:q}"
