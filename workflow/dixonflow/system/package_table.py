"""Tables that lie in the package with the code that reads them."""

import csv
from importlib import resources


def package_table(package: str, name: str) -> list[dict[str, str]]:
    """Rows of a CSV file of a package, each by the names in its first line.

    Parameters
    ----------
    package
        Dotted name of the package that the file lies in.
    name
        Of the file.
    """
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
