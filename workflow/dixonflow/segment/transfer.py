"""Copies between host and device that run concurrently with the computation.

On CUDA they go through pinned memory and a stream of their own; elsewhere they are plain copies.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from dixonflow.segment.architecture import Shape


class DeviceTransfers:
    """Copies of one device. Use it from one thread, the one that computes.

    Parameters
    ----------
    device
        Where networks compute.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a host tensor that can be copied concurrently with the computation; itself if it already can."""
        return tensor if self._stream is None or tensor.is_pinned() else tensor.pin_memory()

    def begin(self, target: torch.Tensor, source: torch.Tensor) -> None:
        """Begin to copy what `source` holds after all that the device has been told to do so far.

        Both must be left alone until `device_waits` or `wait`.
        """
        if self._stream is None or not (target.is_cuda or source.is_cuda):
            target.copy_(source)
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            target.copy_(source, non_blocking=True)
        for tensor in (target, source):
            if tensor.is_cuda:
                tensor.record_stream(self._stream)  # its memory is not given away before the copy is done

    def device_waits(self) -> None:
        """What the device is told to do from now on waits for all copies begun so far."""
        if self._stream is not None:
            torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)

    def wait(self) -> None:
        """Wait until all copies begun so far are done."""
        if self._stream is not None:
            self._stream.synchronize()


class ImageRows:
    """An image where it is cut into patches; its rows arrive while earlier ones are worked on.

    Parameters
    ----------
    image
        (channel, a, b, c) in host memory.
    device
        Where patches are cut.
    """

    def __init__(self, image: torch.Tensor, device: torch.device, copies: DeviceTransfers) -> None:
        self._host = image if device.type == "cpu" else copies.pinned(image)
        self._copies = copies
        self.data = image if device.type == "cpu" else torch.empty(image.shape, dtype=image.dtype, device=device)
        self._begun = image.shape[1] if device.type == "cpu" else 0

    def fetch(self, stop: int) -> None:
        """Begin to bring all rows before `stop`."""
        for there, here in zip(self.data, self._host, strict=True):
            if stop > self._begun:
                self._copies.begin(there[self._begun : stop], here[self._begun : stop])
        self._begun = max(self._begun, stop)


class LabelRows:
    """Labels of an image, gathered in host memory while the next ones are computed.

    Parameters
    ----------
    shape
        Voxels of the image that the labels are of.
    classes
        Number of labels; above 256 they are uint16.
    """

    def __init__(self, shape: Shape, classes: int, copies: DeviceTransfers) -> None:
        self._dtype = torch.uint8 if classes <= 256 else torch.uint16
        self._host = copies.pinned(torch.zeros(shape, dtype=self._dtype))
        self._copies = copies
        self._filled = 0

    def empty(self, shape: torch.Size | Shape, device: torch.device) -> torch.Tensor:
        """Room for the labels of some rows."""
        return torch.empty(shape, dtype=self._dtype, device=device)

    def append(self, rows: torch.Tensor) -> None:
        """Take the labels (rows, b, c) of the next rows; they must not be changed afterwards."""
        stop = self._filled + len(rows)
        self._copies.begin(self._host[self._filled : stop], rows)
        self._filled = stop

    def collected(self) -> NDArray[np.uint8 | np.uint16]:
        """Labels of the whole image.

        Raises
        ------
        RuntimeError
            If rows are missing.
        """
        if self._filled != len(self._host):
            raise RuntimeError(f"only {self._filled} of {len(self._host)} rows have labels")
        self._copies.wait()
        labels: NDArray[np.uint8 | np.uint16] = self._host.numpy()
        return labels
