# The tables as one HTML page.
rule report:
    input:
        f"{RESULTS}/tables/datapackage.json",
    output:
        f"{RESULTS}/report/report.html",
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.threads("report")
    resources:
        mem_mb=lambda wildcards, attempt: PLAN.mem_mb("report", attempt=attempt),
        runtime=PLAN.runtime("report"),
    params:
        config=CONFIG,
    shell:
        "python -m dixonflow report --config {params.config:q} 2> {log:q}"
