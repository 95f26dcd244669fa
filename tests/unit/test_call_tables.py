"""Every row of the call tables of UCloud's ingoing API has tests on the real cluster that bear its name."""

import re

import pytest

from tests.support.processes import ROOT

CALLS = (
    "retrieveProducts",
    "retrieveUtilization",
    "create",
    "extend",
    "follow",
    "init",
    "openInteractiveSession",
    "suspend",
    "terminate",
    "unsuspend",
    "updateAcl",
    "verify",
)

NAMES = {
    name
    for path in (ROOT / "tests/cluster").glob("test_*.py")
    for name in re.findall(r"^async def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_has_a_test_that_is_named_after_it(call: str) -> None:
    snake = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", call)
    assert any(re.search(rf"_({call}|{snake})(_|$)", name) for name in NAMES)
