"""How far compressed data of others may grow: the guard against archives that unpack to far more than they are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InflationLimit:
    """A bound on what compressed data may unpack to.

    Attributes
    ----------
    ratio
        Largest plausible size of the unpacked data, as a multiple of the compressed.
    free_bytes
        Size up to which no ratio is suspicious: any machine can take it.

    Examples
    --------
    >>> InflationLimit(ratio=100, free_bytes=1000).most(5), InflationLimit(ratio=100, free_bytes=1000).most(50)
    (1000, 5000)
    """

    ratio: int
    free_bytes: int

    def most(self, compressed_bytes: int) -> int:
        """Largest size that `compressed_bytes` may unpack to."""
        return max(self.free_bytes, self.ratio * compressed_bytes)
