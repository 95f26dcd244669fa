"""Who listens where: the kernel's tables, and which of it a job's user may be connected to."""

import asyncio

import pytest

from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.listeners import Listener, Probe, listeners
from slurm_provider.sidecar.tunnel_stream import Forbidden, NotReady, check
from slurm_provider.slurm.command import SlurmUnavailable

ALICE, BOB = 1001, 1002

# /proc/net/tcp and tcp6 of Linux 6.18: heads, listeners, and an open connection from the same port.
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 11 1 0 100 0 0 10 0
   1: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0
   2: 0201007F:1A21 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1002        0 13 1 0 100 0 0 10 0
   3: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1002        0 14 1 0 20 4 30
  sl  local_address                         remote_address                        st tx_queue rx_queue tr
   0: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A\
 00000000:00000000 00:00000000 00000000  1001        0 15 1 0 100 0 0 10 0
   1: 00000000000000000000000001000000:1F92 00000000000000000000000000000000:0000 0A\
 00000000:00000000 00:00000000 00000000  1001        0 16 1 0 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1F93 00000000000000000000000000000000:0000 0A\
 00000000:00000000 00:00000000 00000000  1001        0 17 1 0 100 0 0 10 0
   3: 0000000000000000FFFF00000A01000A:1F94 00000000000000000000000000000000:0000 0A\
 00000000:00000000 00:00000000 00000000  1001        0 18 1 0 100 0 0 10 0
"""


def test_the_kernels_tables_are_read() -> None:
    assert listeners(TABLE) == [
        Listener(8080, ALICE, is_local=False),
        Listener(80, 0, is_local=True),
        Listener(6689, BOB, is_local=True),
        Listener(8081, ALICE, is_local=False),
        Listener(8082, ALICE, is_local=True),
        Listener(8083, ALICE, is_local=True),
        Listener(8084, ALICE, is_local=False),
    ]


def test_odd_lines_are_left_out() -> None:
    assert listeners("") == []
    assert listeners("nonsense\n 0: x 0A\n") == []


def test_a_user_is_connected_to_own_listeners_alone() -> None:
    own, others = Listener(8080, ALICE, is_local=False), Listener(8080, BOB, is_local=True)
    check(8080, ALICE, [own, own, Listener(81, BOB, is_local=False)])
    with pytest.raises(Forbidden, match="port 8080 of the job's node belongs to another user"):
        check(8080, ALICE, [own, others])
    with pytest.raises(Forbidden):
        check(8080, ALICE, [others])
    with pytest.raises(NotReady, match="nothing listens on port 8080"):
        check(8080, ALICE, [Listener(8081, ALICE, is_local=False)])


async def test_a_node_that_did_not_answer_is_not_asked_by_all_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    async def no_answer(probe: Probe) -> bytes:
        asked.append(probe)
        raise OSError("gone")

    monkeypatch.setattr(Probe, "_exchange", no_answer)
    probe = Probe(1, "n1", Runner({}, 1))
    answers = await asyncio.gather(*(probe.look() for _ in range(5)), return_exceptions=True)
    assert all(isinstance(answer, SlurmUnavailable) for answer in answers)
    assert len(asked) == 1
