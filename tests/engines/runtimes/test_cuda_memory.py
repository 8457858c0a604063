"""The calls to CUDA's driver, made to a drawn driver whose device is the host's own memory."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleetsift.engines.runtimes.cuda_memory import open_device
from fleetsift.errors import ConfigError, EnsembleError

DRIVER = r"""
#include <stdlib.h>
#include <string.h>
typedef unsigned long long ptr;
static int allocated = 0;
int cuInit(unsigned flags) { return flags != 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal > 1 ? 101 : 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)0x7fffdeadbeefULL; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { return allocated; }
int cuCtxSetCurrent(void *context) { return context != (void *)0x7fffdeadbeefULL; }
int cuStreamCreate(void **stream, unsigned flags) { *stream = (void *)0x7fff5eed5eedULL; return flags != 0; }
int cuStreamDestroy_v2(void *stream) { return stream != (void *)0x7fff5eed5eedULL; }
int cuStreamSynchronize(void *stream) { return stream != (void *)0x7fff5eed5eedULL; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Drawn card", length); return 0; }
int cuMemAlloc_v2(ptr *address, size_t bytes) { *address = (ptr)malloc(bytes); allocated++; return 0; }
int cuMemFree_v2(ptr address) { free((void *)address); allocated--; return 0; }
int cuMemcpyHtoDAsync_v2(ptr to, const void *from, size_t bytes, void *stream) {
    memcpy((void *)to, from, bytes); return stream != (void *)0x7fff5eed5eedULL;
}
int cuMemcpyDtoHAsync_v2(void *to, ptr from, size_t bytes, void *stream) {
    memcpy(to, (void *)from, bytes); return stream != (void *)0x7fff5eed5eedULL;
}
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the drawn driver with")
    folder = tmp_path_factory.mktemp("driver")
    source, library = folder / "driver.c", folder / "libdrawn.so"
    source.write_text(DRIVER)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True, capture_output=True)
    return str(library)


def test_what_is_written_is_read_again(driver: str) -> None:
    device = open_device(1, driver)
    assert device.name == "Drawn card"
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 3), dtype=np.uint8)
    scores = np.arange(6, dtype=np.float32).reshape(2, 3)
    pixels, numbers = device.allocate(frames.shape, np.uint8), device.allocate(scores.shape, np.float32)
    pixels.write(frames)
    numbers.write(scores)
    np.testing.assert_array_equal(pixels.read(), frames)
    np.testing.assert_array_equal(numbers.read(), scores)
    device.close()  # the drawn driver complains of what is not freed


def test_values_of_another_shape_type_or_order_are_refused(driver: str) -> None:
    place = open_device(0, driver).allocate((2, 3), np.float32)
    wrong: list[Any] = [np.zeros((3, 2), np.float32), np.zeros((2, 3)), np.zeros((3, 2), np.float32).T]
    for values in wrong:
        with pytest.raises(ValueError, match=r"expected contiguous float32 \(2, 3\), got"):
            place.write(values)


def test_what_the_driver_refuses_is_said(driver: str) -> None:
    with pytest.raises(EnsembleError, match="got its error 101"):
        open_device(2, driver)


def test_without_a_driver_there_is_no_device(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"CUDA device 0: expected NVIDIA's driver, got .*; install it"):
        open_device(0, str(tmp_path / "libcuda.so"))
