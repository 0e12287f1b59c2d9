"""Starting the processes of a run on one machine, one for each device, and watching over them."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence

from thinkact.policies.distributed import LostProcess


def launch(devices: int, arguments: Sequence[str]) -> None:
    """Run ``python -m thinkact`` with arguments, once for each device; where one ends badly the others are ended.

    PyTorch's elastic launcher, which is what ``torchrun`` is, without restarts: a run is gone on with by ``--resume``.

    Args:
        devices: How many.
        arguments: Of the command line.

    Raises:
        LostProcess: A process was killed, or its code failed; the message says which and how to go on.
        SystemExit: A process ended with an error that it has told itself, or by Ctrl-C.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what it has to say is said below
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    try:
        # -P: as for the installed command, the present folder is no place to import from.
        elastic_launch(config, sys.executable)("-P", "-m", "thinkact", *arguments)
    except SignalException as error:
        raise SystemExit(128 + int(error.sigval)) from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 1:
            raise SystemExit(failure.exitcode) from None
        how = "failed; what it printed says why"
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            how = f"was ended by {name}" + (" (was there enough memory?)" if name == "SIGKILL" else "")
        raise LostProcess(
            f"Process {rank} of {devices} {how}. The others were ended. Go on with --resume, on any number of devices."
        ) from None
