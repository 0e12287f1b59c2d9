"""What the tests of web environments share: a real browser, or a reason to skip, and one task of a template."""

import os
from itertools import count

import pytest


@pytest.fixture(scope="session")
def chrome():
    """The browser; without one the test is skipped, on a machine that was made to have one it fails."""
    from thinkact.tools.browser import BrowserFault, find_chrome

    try:
        return find_chrome()
    except BrowserFault as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def first_problem():
    """``first_problem(template, knobs)``: the first task of a template."""
    from thinkact.envs.web.site import Knobs
    from thinkact.envs.web.tasks import TEMPLATES, build

    def first(name, knobs=Knobs()):  # noqa: B008  (frozen)
        split = "hidden" if TEMPLATES[name].hidden else "train"
        built = (build(split, name, number, knobs, "plain") for number in count())
        return next(problem for problem in built if problem is not None)

    return first
