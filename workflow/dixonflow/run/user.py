"""Name of the user, also where the system knows only a number, as in a container."""

import getpass
import os


def set_user_name() -> None:
    """Have `getpass.getuser` work in this process and its children: without a name the number takes its place.

    Snakemake and other packages ask for the name, and end where the list of users does not hold the number.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError as of Python 3.13
        os.environ["LOGNAME"] = str(os.getuid())
