"""An object whose tensors lie in memory that several processes see: nothing of them is pickled, nothing copied.

The memory is a file without a name (``memfd_create``): it ends with the last process that holds it, however that
ends, and it is no part of ``/dev/shm``, which containers keep small.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import sys
import tempfile
from typing import Any

_ALIGN = 64


class SharedObject:
    """An object, written so that other processes can have it.

    Its tensors' present values are copied once; :meth:`view` is where those that hold it look.

    Args:
        value: Anything that can be pickled. Subclasses of ``torch.Tensor`` other than parameters are pickled whole.

    Attributes:
        descriptor: Of the memory; what :func:`open_shared` wants in another process.
        opening: Where the object is in it, likewise.

    Raises:
        TypeError: The object cannot be pickled; the message says what of it.
        OSError: There is not enough memory.
    """

    def __init__(self, value: object) -> None:
        written = io.BytesIO()
        pickler = _Pickler(written)
        try:
            pickler.dump(value)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            raise TypeError(f"others cannot have a copy of it ({error})") from error
        text = written.getvalue()
        self.opening = (pickler.size, len(text))
        size = pickler.size + len(text)
        self.descriptor = _memory(size)
        self._map = mmap.mmap(self.descriptor, size)
        self._map[pickler.size :] = text
        self._places = pickler.places
        for tensor, place in pickler.found:
            _view(self._map, place).copy_(tensor.detach())

    def view(self, tensor: Any) -> Any:
        """Return the shared tensor that one of the object's tensors became, on the CPU.

        Raises:
            KeyError: It was not one of them, or has other memory by now.
        """
        return _view(self._map, self._places[_identity(tensor)])

    def close(self) -> None:
        """Let go of the memory; others keep it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class OpenedObject:
    """A shared object in a process that did not make it.

    Attributes:
        value: The object. Its tensors are the shared memory, or, on other devices than the CPU, copies.
    """

    def __init__(self, descriptor: int, opening: tuple[int, int]) -> None:
        at, size = opening
        self._map = mmap.mmap(descriptor, at + size)
        os.close(descriptor)
        unpickler = _Unpickler(io.BytesIO(self._map[at : at + size]), self._map)
        self.value: Any = unpickler.load()
        self._copies = unpickler.copies

    def refresh(self) -> None:
        """Take over what was written since into the copies on other devices."""
        for copy, shared in self._copies:
            copy.copy_(shared)


def _memory(size: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("thinkact", os.MFD_CLOEXEC)
    else:  # macOS
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)  # too little memory is an error now, and no SIGBUS later
    return descriptor


def _identity(tensor: Any) -> tuple[Any, ...]:
    return (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype, str(tensor.device))


def _view(memory: mmap.mmap, place: tuple[int, Any, tuple[int, ...], str]) -> Any:
    import torch

    at, dtype, shape, _ = place
    count = 1
    for length in shape:
        count *= length
    if not count:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(memory, dtype=dtype, count=count, offset=at).view(shape)


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        torch: Any = sys.modules.get("torch")  # what was not imported has no tensors here
        self._tensor = None if torch is None else torch.Tensor
        self.places: dict[tuple[Any, ...], tuple[int, Any, tuple[int, ...], str]] = {}
        self.found: list[tuple[Any, tuple[int, Any, tuple[int, ...], str]]] = []
        self.size = 0

    def persistent_id(self, value: Any) -> Any:
        if self._tensor is None or type(value) is not self._tensor or str(value.layout) != "torch.strided":
            return None
        identity = _identity(value)
        if identity not in self.places or not value.numel():
            place = (self.size, value.dtype, tuple(value.shape), str(value.device))
            self.places[identity] = place
            self.found.append((value, place))
            self.size += -(-value.numel() * value.element_size() // _ALIGN) * _ALIGN
        return self.places[identity]


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, memory: mmap.mmap) -> None:
        super().__init__(file)
        self._memory = memory
        self._known: dict[Any, Any] = {}
        self.copies: list[tuple[Any, Any]] = []

    def persistent_load(self, place: Any) -> Any:
        if place not in self._known:
            shared = _view(self._memory, place)
            device = place[3]
            tensor = shared if device == "cpu" else shared.to(device)
            if tensor is not shared:
                self.copies.append((tensor, shared))
            self._known[place] = tensor
        return self._known[place]
