"""What a result was made with: versions of the program and of the libraries that touch the numbers."""

from functools import cache
from importlib.metadata import version

import dixonflow

LIBRARIES = ("numpy", "scipy", "torch", "nnunetv2", "SimpleITK", "pydicom", "nibabel", "connected-components-3d")


@cache
def versions() -> dict[str, str]:
    """Versions of DixonFlow and of the libraries that touch images, by name; imports none of them."""
    # our own from the code that runs: in a container it need not be an installed package
    return {"dixonflow": dixonflow.__version__, **{name: version(name) for name in LIBRARIES}}
