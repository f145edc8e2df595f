"""`python -m dixonflow`: the command of the package, for jobs that know their Python."""

from dixonflow.cli.main import main

main()
