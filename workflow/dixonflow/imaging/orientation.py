"""Orientation codes of networks, like LPS, for images that are RAS+."""


def orientation_flips(orientation: str) -> tuple[int, ...]:
    """Axes of a RAS+ image to reverse for a network that expects `orientation`, `LPS` for instance.

    Raises
    ------
    ValueError
        If the code is not of R or L, A or P, S or I, in this order.

    Examples
    --------
    >>> orientation_flips("LPS")
    (0, 1)
    """
    if len(orientation) != 3 or any(
        code not in pair for code, pair in zip(orientation, ("RL", "AP", "SI"), strict=True)
    ):
        raise ValueError(f"orientation must be like RAS or LPS, not {orientation!r}")
    return tuple(axis for axis, (have, wanted) in enumerate(zip("RAS", orientation, strict=True)) if have != wanted)
