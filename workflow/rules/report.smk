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
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=CONFIG,
    shell:
        "python -m dixonflow report --config {params.config:q} 2> {log:q}"
