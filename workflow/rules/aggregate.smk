# Rows of all shards to the tables; checks that no scan was lost.
rule aggregate:
    input:
        f"{RESULTS}/cohort/shards.txt",
        # all scans, including withdrawn and excluded ones: the list of shards need not change with them
        f"{RESULTS}/cohort/scans.sha256",
        lambda wildcards: PLAN.reached("measure", checkpoints.cohort.get().output[0]),
        PLAN.covariate_file,
        lambda wildcards: PLAN.rating_files(),
    output:
        f"{RESULTS}/tables/datapackage.json",
    log:
        f"{RESULTS}/logs/aggregate.log",
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.threads("aggregate")
    resources:
        mem_mb=lambda wildcards, attempt: PLAN.mem_mb("aggregate", attempt=attempt),
        runtime=PLAN.runtime("aggregate"),
    params:
        config=CONFIG,
        covariates=lambda wildcards: PLAN.covariate_state(),
        ratings=lambda wildcards: PLAN.rating_state(),
        withdrawn_rows=PLAN.config.cohort.withdrawn_rows,
        retry=lambda wildcards: PLAN.retry("tables"),
    shell:
        "python -m dixonflow aggregate --config {params.config:q} 2> {log:q}"
