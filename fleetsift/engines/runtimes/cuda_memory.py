"""Memory on a CUDA device and copies to and from it, by the driver's own library: so little needs no package."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from fleetsift.errors import ConfigError, EnsembleError

LIBRARY = "libcuda.so.1"

Number = TypeVar("Number", bound=np.generic)


class CudaDevice:
    """One device with a stream of its own, in the context that CUDA's other users in this process share."""

    def __init__(self, library: ctypes.CDLL, device: int) -> None:
        self._library = library
        self._check(library.cuInit(0))
        handle, context, stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self._check(library.cuDeviceGet(ctypes.byref(handle), device))
        self._device = handle
        self._check(library.cuDevicePrimaryCtxRetain(ctypes.byref(context), handle))
        self._context = context
        self._check(library.cuCtxSetCurrent(context))
        self._check(library.cuStreamCreate(ctypes.byref(stream), 0))
        self.stream = stream.value or 0
        name = ctypes.create_string_buffer(256)
        self._check(library.cuDeviceGetName(name, len(name), handle))
        self.name = name.value.decode()
        self._addresses: list[int] = []

    def allocate(self, shape: tuple[int, ...], dtype: type[Number]) -> DeviceArray[Number]:
        """Room on the device for an array."""
        address = ctypes.c_uint64()
        host: NDArray[Number] = np.zeros(shape, dtype)
        self.use()
        self._check(self._library.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(max(1, host.nbytes))))
        self._addresses.append(address.value)
        return DeviceArray(self, address.value, host)

    def write(self, address: int, values: NDArray[Any]) -> None:
        """Copy an array to the device, in the order of the stream."""
        self.use()
        self._check(
            self._library.cuMemcpyHtoDAsync_v2(
                ctypes.c_uint64(address),
                ctypes.c_void_p(values.ctypes.data),
                ctypes.c_size_t(values.nbytes),
                ctypes.c_void_p(self.stream),
            )
        )

    def read(self, address: int, values: NDArray[Any]) -> None:
        """Copy from the device into an array, once all that is in the stream is done."""
        self.use()
        self._check(
            self._library.cuMemcpyDtoHAsync_v2(
                ctypes.c_void_p(values.ctypes.data),
                ctypes.c_uint64(address),
                ctypes.c_size_t(values.nbytes),
                ctypes.c_void_p(self.stream),
            )
        )
        self._check(self._library.cuStreamSynchronize(ctypes.c_void_p(self.stream)))

    def use(self) -> None:
        """Make the device the one that this thread's CUDA calls are about."""
        self._check(self._library.cuCtxSetCurrent(self._context))

    def close(self) -> None:
        """Free what was allocated, and let the device go."""
        self.use()
        for address in self._addresses:
            self._check(self._library.cuMemFree_v2(ctypes.c_uint64(address)))
        self._addresses.clear()
        self._check(self._library.cuStreamDestroy_v2(ctypes.c_void_p(self.stream)))
        self._check(self._library.cuDevicePrimaryCtxRelease_v2(self._device))

    def _check(self, status: int) -> None:
        if status:
            raise EnsembleError(f"CUDA device: expected the driver to comply, got its error {status}; see `nvidia-smi`")


@dataclass(frozen=True, slots=True)
class DeviceArray(Generic[Number]):
    """Room for an array on a device."""

    device: CudaDevice
    address: int
    host: NDArray[Number]  # says shape and type

    def write(self, values: NDArray[Number]) -> None:
        """Copy contiguous values to the device. Raises ValueError where shape or type is another one."""
        if values.shape != self.host.shape or values.dtype != self.host.dtype or not values.flags.c_contiguous:
            raise ValueError(
                f"DeviceArray: expected contiguous {self.host.dtype} {self.host.shape}, "
                f"got {values.dtype} {values.shape}"
            )
        self.device.write(self.address, values)

    def read(self) -> NDArray[Number]:
        """The values, once all that was asked of the device is done."""
        values = np.empty_like(self.host)
        self.device.read(self.address, values)
        return values


def open_device(device: int = 0, library: str = LIBRARY) -> CudaDevice:
    """Open a CUDA device. Raises ConfigError where the machine has no driver.

    library: the driver's; tests put a drawn one there, whose device is the host's own memory.
    """
    try:
        return CudaDevice(ctypes.CDLL(library), device)
    except OSError as error:
        raise ConfigError(
            f"CUDA device {device}: expected NVIDIA's driver, got {error}; install it, or score on the CPU"
        ) from error
