"""Tunnels to what jobs listen with, by the sidecar's contract: over a Unix socket, and over mutual TLS."""

import asyncio
import hashlib
import pwd
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from slurm_provider.config.sections import Cluster as ClusterSection
from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.relay import host_and_port
from slurm_provider.rpc.tunnels import NotReady, NotRunning, ReplicaOf, TunnelRefused
from tests.cluster.conftest import cluster_folder, fresh_folder
from tests.support.keys import key_pair, tls_of
from tests.support.processes import COMMAND, ROOT, Program, command_lines
from tests.support.slurm import Slurm
from tests.support.stack import free_port, prepare

CONTROL = ".ucloud"


@dataclass(frozen=True)
class Site:
    """A sidecar, the façade's end of its connection, and a job with a web application."""

    folder: Path
    section: ClusterSection
    cluster: Cluster
    sidecar: Program
    replica: ReplicaOf
    port: int

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tunnel = await self.cluster.tunnels.open(self.replica, self.port)
        return await asyncio.open_connection(sock=tunnel)


def configuration(folder: Path, kind: str) -> tuple[str, ClusterSection]:
    """Return the sidecar's configuration and the façade's section."""
    slurm_conf = f'slurm_conf = "{cluster_folder()}/etc/slurm.conf"\ncommand_timeout_seconds = 15'
    if kind == "unix":
        address = f"unix:{folder}/run/sidecar.sock"
        return f'[sidecar]\nlisten = "{address}"\n{slurm_conf}\n', ClusterSection(sidecar=address)
    authority = key_pair(folder, "ca", None)
    for name in ("sidecar", "facade"):
        key_pair(folder, name, authority)
    key_pair(folder, "stranger", None)
    address, relay = (f"tcp:localhost:{free_port()}" for _ in range(2))
    text = f"""
[sidecar]
listen = "{address}"
relay = "{relay}"
{slurm_conf}
[sidecar.tls]
certificate_file = "{folder}/sidecar.crt"
key_file = "{folder}/sidecar.key"
ca_file = "{folder}/ca.crt"
"""
    return text, ClusterSection(sidecar=address, relay=relay, tls=tls_of(folder, "facade"))


def submit(slurm: Slurm, folder: Path, port: int) -> int:
    """Start a web application as a job of alice."""
    program = folder / "software/web_application.py"
    shutil.copy(ROOT / "tests/support/web_application.py", program)
    place = folder / "drives/123/job"
    control = place / CONTROL / "rank-0"
    control.mkdir(parents=True)
    user = pwd.getpwnam("alice")
    for path in (place, place / CONTROL, control):
        shutil.chown(path, user.pw_uid, user.pw_gid)
    wrapped = f"echo {port} >{control}/allocated-port.txt; exec /usr/bin/python3 {program} {port}"
    sbatch = ("sbatch", "--parsable", f"--chdir={place}", "--output=out.log", f"--wrap={wrapped}")
    return int(slurm.run(*sbatch, user="alice"))


@pytest.fixture(scope="module", params=["unix", "tls"])
async def site(request: pytest.FixtureRequest, slurm: Slurm) -> AsyncIterator[Site]:
    folder = fresh_folder(f"tunnels-{request.param}")
    prepare(folder)
    text, section = configuration(folder, request.param)
    (folder / "config.toml").write_text(text)
    sidecar = Program([COMMAND, "sidecar", "-c", folder / "config.toml"], folder / "log/sidecar.log")
    await sidecar.start()
    cluster = Cluster("hpc", section)
    port = free_port()
    slurm_id = submit(slurm, folder, port)
    replica = ReplicaOf("alice", slurm_id, 0, str(folder / "drives/123/job"), CONTROL)
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    (await cluster.tunnels.open(replica, port)).close()
                    break
                except (NotReady, NotRunning):
                    await asyncio.sleep(0.2)
        yield Site(folder, section, cluster, sidecar, replica, port)
    finally:
        slurm.run("scancel", str(slurm_id))
        await cluster.close()
        await sidecar.stop()


async def answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        return head, await reader.readexactly(int(head.partition("Content-Length: ")[2].split()[0]))


async def test_bytes_arrive_whole_in_both_directions(site: Site) -> None:
    reader, writer = await site.open()
    sent = bytes(range(256)) * 40_000
    writer.write(f"POST /digest HTTP/1.1\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent)
    assert (await answer(reader))[1].decode() == hashlib.sha256(sent).hexdigest()
    writer.write(b"GET /bytes?n=10240000 HTTP/1.1\r\n\r\n")
    assert hashlib.sha256((await answer(reader))[1]).digest() == hashlib.sha256(sent).digest()
    writer.close()


async def test_an_end_that_says_no_more_still_hears(site: Site) -> None:
    reader, writer = await site.open()
    writer.write(b"GET /until-the-end HTTP/1.1\r\n\r\n")
    writer.write_eof()
    async with asyncio.timeout(20):
        assert (await reader.read()).endswith(b"all of it")
    writer.close()


async def test_the_application_notices_that_the_browser_has_gone(site: Site) -> None:
    reader, writer = await site.open()
    writer.write(b"GET /forever HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"begun")
    printed = Path(site.replica.folder) / "out.log"
    before = printed.read_text().count("a client has gone")
    writer.close()
    async with asyncio.timeout(20):
        while printed.read_text().count("a client has gone") == before:
            await asyncio.sleep(0.05)


async def test_what_cannot_be_reached_is_said_in_words(site: Site) -> None:
    tunnels = site.cluster.tunnels
    (await tunnels.open(site.replica, "allocated-port.txt")).close()
    with pytest.raises(NotReady, match="nothing listens on port 1 of the job's node yet"):
        await tunnels.open(site.replica, 1)
    with pytest.raises(NotReady, match="has not chosen its port yet"):
        await tunnels.open(site.replica, "vnc-port.txt")
    with pytest.raises(NotRunning, match="has no rank 1"):
        await tunnels.open(replace(site.replica, rank=1), site.port)
    with pytest.raises(NotRunning, match="the job has ended"):
        await tunnels.open(replace(site.replica, slurm_id=999_999), site.port)
    with pytest.raises(NotRunning, match="the job has ended"):
        await tunnels.open(replace(site.replica, local_user="bob"), site.port)  # it is not bob's
    with pytest.raises(TunnelRefused, match="jobs never run as root"):
        await tunnels.open(replace(site.replica, local_user="root"), site.port)
    with pytest.raises(TunnelRefused, match="is no port"):
        await tunnels.open(site.replica, 70_000)


async def test_an_application_for_its_own_node_only_is_told_so(site: Site, slurm: Slurm) -> None:
    code = "import socket,time; s = socket.create_server(('127.0.0.1', 0));"
    code += " print(s.getsockname()[1], flush=True)"
    wrapped = f'/usr/bin/python3 -c "{code}; time.sleep(600)"'
    place = f"--chdir={site.replica.folder}"
    sbatch = ("sbatch", "--parsable", place, "--output=local.log", f"--wrap={wrapped}")
    slurm_id = int(slurm.run(*sbatch, user="alice"))
    printed = Path(site.replica.folder) / "local.log"
    async with asyncio.timeout(30):
        while not (printed.exists() and printed.read_text().strip()):
            await asyncio.sleep(0.1)
    port = int(printed.read_text())
    with pytest.raises(NotReady, match="for its own node only"):
        await site.cluster.tunnels.open(replace(site.replica, slurm_id=slurm_id), port)
    slurm.run("scancel", str(slurm_id))


async def test_small_files_of_a_replica_are_read_and_nothing_else(site: Site) -> None:
    tunnels = site.cluster.tunnels
    control = Path(site.replica.folder) / CONTROL
    assert (await tunnels.read(site.replica, "allocated-port.txt")).strip() == str(site.port)
    assert await tunnels.read(site.replica, "nothing.txt") == ""
    (control / "rank-0/link.txt").symlink_to("/etc/hostname")
    (control / "rank-7").symlink_to("/etc")
    for replica, name in (
        (site.replica, "link.txt"),
        (site.replica, "../rank-0/allocated-port.txt"),
        (site.replica, ".."),
        (site.replica, ""),
        (replace(site.replica, rank=7), "hostname"),
        (replace(site.replica, control_folder="../.."), "x"),
        (replace(site.replica, folder="/etc/../etc"), "hostname"),
        (replace(site.replica, folder="relative"), "hostname"),
    ):
        with pytest.raises(TunnelRefused):
            await tunnels.read(replica, name)


async def test_many_connections_need_one_step(site: Site) -> None:
    opened = await asyncio.gather(*(site.cluster.tunnels.open(site.replica, site.port) for _ in range(50)))
    step = f"srun\0--jobid={site.replica.slurm_id}\0--overlap".encode()
    # srun is two processes.
    assert 1 <= sum(line.startswith(step) for line in command_lines()) <= 2
    for tunnel in opened:
        tunnel.close()


async def test_a_relay_without_a_ticket_gives_nothing(site: Site) -> None:
    if site.section.relay is None:
        path = f"{site.folder}/run/sidecar.sock.relay"
        reader, writer = await asyncio.open_unix_connection(path)
    else:
        host, port = host_and_port(site.section.relay)
        tls = tls_of(site.folder, "facade")
        context = ssl.create_default_context(cafile=str(tls.ca_file))
        context.load_cert_chain(tls.certificate_file, tls.key_file)
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.write(bytes(32))
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("site", ["tls"], indirect=True)
async def test_a_relay_over_tcp_takes_nobody_without_our_keys(site: Site) -> None:
    assert site.section.relay
    stranger = site.section.model_copy(update={"tls": tls_of(site.folder, "stranger")})
    cluster = Cluster("hpc", stranger)
    with pytest.raises(ClusterUnavailable):
        await cluster.tunnels.open(site.replica, site.port)
    await cluster.close()
    host, port = host_and_port(site.section.relay)
    for context in (None, _without_certificate()):
        with pytest.raises((OSError, AssertionError)):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.write(bytes(32))
            async with asyncio.timeout(10):
                assert await reader.read(), "nothing is given"


def _without_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize("site", ["unix"], indirect=True)
async def test_an_open_tunnel_over_a_unix_socket_outlives_the_sidecar(site: Site) -> None:
    reader, writer = await site.open()
    await site.sidecar.stop()
    writer.write(b"GET /bytes?n=100 HTTP/1.1\r\n\r\n")
    assert len((await answer(reader))[1]) == 100
    writer.close()
    await site.sidecar.start()
