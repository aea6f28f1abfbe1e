"""The processes that train together, one or more machines' (``accelerate launch``, ``torchrun``); usually one."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

Made = TypeVar("Made")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """How many processes train together (``count``), and which one this is (``number``, from 0).

    ``local_number``, ``local_count``: the same among those of this machine. Every method with a group of several has to be called
    by all of them, in the same order.
    """

    number: int = 0
    count: int = 1
    local_number: int = 0
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that reports and writes."""
        return self.number == 0

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in place: one message for all of them. All are on one device."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def from_first(self, make: Callable[[], Made]) -> Made:
        """What ``make`` makes in the first process; it is called in no other."""
        if self.count == 1:
            return make()
        box = [make() if self.first else None]
        torch.distributed.broadcast_object_list(box)
        return box[0]  # pyright: ignore[reportReturnType]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            torch.distributed.barrier()


#: Where launchers (torchrun, two kinds of MPI) write how many processes they started.
_COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE")


def launched(device: str | torch.device) -> Processes:
    """The processes that a launcher started this one with, joined by gloo on a CPU and else by what accelerate finds there.

    Joins them at the first call; on several GPUs "cuda" then means this process's own.
    """
    if max(int(os.environ.get(name, "1")) for name in _COUNTS) == 1:
        return Processes()
    from accelerate import PartialState

    state = PartialState(cpu=torch.device(device).type == "cpu")
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return Processes(state.process_index, state.num_processes, state.local_process_index, local)


def leave() -> None:
    """Part from the other processes at the end; without them nothing happens."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
