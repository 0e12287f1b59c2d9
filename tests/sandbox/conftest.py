import os
import shutil
import sys
from collections.abc import Callable, Iterator

import pytest

from thinkact import sandbox
from thinkact.sandbox import Limits, Sandbox, Session

from .contract import calm, descendants, guest, place  # noqa: F401  (fixtures)

MiB = 1 << 20


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    if shutil.which("bwrap") is None and os.environ.get("CI") != "true":
        pytest.skip("bubblewrap is missing: apt-get install bubblewrap")
    limits = Limits(memory_bytes=256 * MiB, processes=16, tmpfs_bytes=8 * MiB, file_bytes=4 * MiB)
    os.environ["THINKACT_TEST_SECRET"] = "canary-5b1f"
    try:
        with sandbox.create("bubblewrap", limits=limits) as made:
            yield made
    finally:
        del os.environ["THINKACT_TEST_SECRET"]


@pytest.fixture
def session(box: Sandbox) -> Iterator[Session]:
    with box.session() as made:
        yield made


@pytest.fixture
def own_processes() -> Callable[[], set[int]]:
    if (host := sys.modules.get("thinkact.tools.browser.host")) is not None:
        host.shut_down()  # the browser of another test starts and ends processes whenever it likes
    return lambda: descendants(os.getpid())


@pytest.fixture
def processes_below() -> Callable[[int], set[int]]:
    return descendants
