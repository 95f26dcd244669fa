"""Users log in with the SSH keys that they keep in UCloud, and read in their jobs how."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import structlog

from slurm_provider.config import FacadeConfig, Ssh
from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable
from slurm_provider.jobmap import Door, JobMap
from slurm_provider.jobmap.ssh_keys import KeyBlock
from slurm_provider.rpc.cluster import Cluster, ClusterRefused, ClusterUnavailable
from slurm_provider.ssh_key import KeyRefused, checked_key
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import Job
from slurm_provider.ucloud.ssh import SshKey, keys_of

log = structlog.get_logger()

SOON_SECONDS = 10.0
"""After a pass on which Core or a cluster did not answer."""
PASS_SECONDS = 300.0
"""Else: for mappings that have changed, and files that were refused."""
NO_KEYS = "add an SSH key to your profile in UCloud, then start the job again"


def wants_ssh(job: Job) -> bool:
    """Say whether a job's user is to be able to log in."""
    application = job.status.resolvedApplication if job.status else None
    invocation = application.invocation if application else None
    mandatory = bool(invocation and invocation.ssh and invocation.ssh.mode == "MANDATORY")
    return mandatory or bool(job.specification and job.specification.sshEnabled)


def ssh_objection(job: Job, site: Ssh) -> str | None:
    """Return why a job cannot have SSH, for the user; None when it can, or does not want it."""
    if site.install_keys or not wants_ssh(job):
        return None
    return "the job asks for SSH, which this provider does not offer; start it without SSH if it can do so"


class SshAccess:
    """Keeps keys in authorized_keys files, and tells jobs that ask for SSH."""

    def __init__(
        self,
        config: FacadeConfig,
        jobmap: Door,
        core: CoreClient,
        clusters: Mapping[str, Cluster],
        told: Callable[[], None],
    ) -> None:
        self._config = config
        self._jobmap = jobmap
        self._core = core
        self._clusters = clusters
        self._told = told
        self._wake = asyncio.Event()
        self._uploads: Counter[str] = Counter()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the loop that makes files what they ought to be."""
        if not self._config.ssh.install_keys:
            await self._jobmap.call(lambda jobmap: jobmap.ssh.drop_all())
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; what is not done goes on at the next start."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def keys_changed(self, ucloud_user: str, keys: Sequence[SshKey]) -> None:
        """Note all keys that a user has now, those that are gone included; installed soon after."""
        self._uploads[ucloud_user] += 1
        await self._want(ucloud_user, keys)
        self._wake.set()

    async def ask(self, jobs: Sequence[Job]) -> None:
        """Note, before they are submitted, which of these jobs ask for SSH."""
        if asking := [job.id for job in jobs if wants_ssh(job)]:
            await self._jobmap.call(lambda jobmap: jobmap.ssh.ask(asking))

    def hurry(self) -> None:
        """Look at the jobs that ask for SSH now."""
        self._wake.set()

    async def _want(self, ucloud_user: str, keys: Sequence[SshKey]) -> str | None:
        """Note the keys that a user is to have; return why there is none to log in with, for the user."""
        texts = []
        for text in keys_of(ucloud_user, list(keys)):
            try:
                texts.append(checked_key(text))
            except KeyRefused as error:
                log.warning("SSH key left out", ucloud_user=ucloud_user, reason=str(error))
        clusters = list(self._clusters)
        if not await self._jobmap.call(lambda jobmap: jobmap.ssh.want(ucloud_user, texts, clusters)):
            return "you have no account on this cluster any more"
        return None if texts else NO_KEYS

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            complete = False
            try:
                complete = await self._pass()
            except Exception:
                log.exception("SSH keys not looked after")
            try:
                async with asyncio.timeout(PASS_SECONDS if complete else SOON_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _pass(self) -> bool:
        """Fetch, install, tell; return whether everybody answered."""
        asking = await self._jobmap.call(lambda jobmap: jobmap.ssh.asking())
        answers = [await self._fetch(job_id) for job_id in asking]
        await self._jobmap.call(lambda jobmap: jobmap.ssh.drop_unmapped())
        blocks = await self._jobmap.call(lambda jobmap: jobmap.ssh.open_blocks())
        # One user's home that hangs holds up the others no longer than its call.
        answers += await asyncio.gather(*(self._install(block) for block in blocks))
        for job_id in await self._jobmap.call(lambda jobmap: jobmap.ssh.asking()):
            await self._tell(job_id)
        return all(answers)

    async def _fetch(self, job_id: str) -> bool:
        """Note the keys of a job's owner as Core has them; return whether it answered."""
        job = await self._jobmap.call(JobMap.job, job_id)
        if job is None:
            return False
        if job.state.is_final:
            await self._jobmap.call(lambda jobmap: jobmap.ssh.forget(job_id))
            return True
        uploads = self._uploads[job.ucloud_user]
        try:
            keys = await self._core.ssh_keys(job_id)
        except CoreUnavailable as error:
            log.warning("SSH keys not fetched", job_id=job_id, reason=str(error))
            return False
        except CoreRefused as error:
            await self._failed(job_id, f"UCloud does not tell your SSH keys: {error}")
            return True
        if self._uploads[job.ucloud_user] != uploads:
            return False  # the answer may be older than what Core has told since
        if why := await self._want(job.ucloud_user, keys):
            await self._failed(job_id, why)
        return True

    async def _install(self, block: KeyBlock) -> bool:
        cluster = self._clusters.get(block.cluster)
        if cluster is None:
            return True
        refusal = None
        try:
            await cluster.set_authorized_keys(block.local_user, self._label(block.ucloud_user), block.keys)
        except ClusterRefused as error:
            refusal = str(error)
            log.warning("SSH keys not installed", local_user=block.local_user, reason=refusal)
        except ClusterUnavailable as error:
            log.warning("SSH keys not installed yet", local_user=block.local_user, reason=str(error))
            return False
        await self._jobmap.call(lambda jobmap: jobmap.ssh.settle(block, refusal))
        return True

    def _label(self, ucloud_user: str) -> str:
        """Return the name of a UCloud user's block: several may be mapped to one local user."""
        digest = hashlib.sha256(ucloud_user.encode()).hexdigest()[:12]
        return f"ucloud:{self._config.provider.id}/{digest}"

    async def _tell(self, job_id: str) -> None:
        """Tell a job how its user can log in, or why not, once either is known."""
        job = await self._jobmap.call(JobMap.job, job_id)
        if job is None:
            return
        block = await self._jobmap.call(
            lambda jobmap: jobmap.ssh.block(job.ucloud_user, job.cluster, job.local_user)
        )
        if block is None or not block.keys:
            return
        # The frontend knows both answers by their first words.
        if block.installed:
            site = self._config.ssh
            where = f"ssh {job.local_user}@{site.host} -p {site.port}"
            await self._answer(job_id, f"SSH: Connected! Available at: {where}")
        elif block.refusal:
            await self._failed(job_id, block.refusal)

    async def _failed(self, job_id: str, why: str) -> None:
        await self._answer(job_id, f"SSH: Failure! {why}")

    async def _answer(self, job_id: str, status: str) -> None:
        await self._jobmap.call(JobMap.tell_of_ssh, job_id, JobUpdate(status=status))
        self._told()
