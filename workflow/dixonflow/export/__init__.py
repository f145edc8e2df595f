"""The tables in the formats of other programs: Stata, SPSS, CSV, Excel, and of genetic association studies."""
