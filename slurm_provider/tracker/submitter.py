"""Submission, once: an intent in the job map becomes one Slurm job, whatever fails on the way."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog
from google.protobuf import json_format

from slurm_provider.config import FacadeConfig
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow, Submission
from slurm_provider.launch.paths import ucloud_path
from slurm_provider.launch.plan import START_WITHIN_SECONDS
from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.v1.submission_pb2 import SubmitRequest
from slurm_provider.tracker.attempts import past_charges
from slurm_provider.tracker.identity import Tagger
from slurm_provider.tracker.limit_cache import LimitCache
from slurm_provider.tracker.limits import maximum_time, objection
from slurm_provider.tracker.lookup import Found, choose_latest, look_up
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState

log = structlog.get_logger()

MAX_DOUBTS = 10
"""Answers after which a job is failed that Slurm neither takes nor refuses."""
LONGEST_SBATCH_SECONDS = START_WITHIN_SECONDS + 60
"""After a try without an answer sbatch may still be running for so long: the sidecar allows it no more."""
AT_ONCE = 8
"""Tries at the same time on a cluster: more would only be in each other's way in slurmctld."""


class Submitter:
    """Submits the jobs whose intent is written, one try at a time for each job."""

    def __init__(
        self,
        config: FacadeConfig,
        jobmap: Door,
        clusters: Mapping[str, Cluster],
        limits: Mapping[str, LimitCache],
        tagger: Tagger,
        told: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._tagger = tagger
        self._jobmap = jobmap
        self._clusters = clusters
        self._limits = limits
        self._told = told
        self._clock = clock
        self._tries: dict[str, asyncio.Task[None]] = {}
        self._room = {name: asyncio.Semaphore(AT_ONCE) for name in clusters}

    def start(self, job_id: str) -> asyncio.Task[None]:
        """Start a try to submit a job and return it; the one under way if there is one."""
        task = self._tries.get(job_id)
        if task is None:
            task = self._tries[job_id] = asyncio.create_task(self._try(job_id))
            task.add_done_callback(lambda _: self._tries.pop(job_id, None))
        return task

    async def close(self) -> None:
        """Stop all tries; what they have begun is looked up at the next start."""
        tasks = list(self._tries.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _try(self, job_id: str) -> None:
        job = await self._jobmap.call(JobMap.job, job_id)
        if job is None or job.cluster not in self._room:
            return
        async with self._room[job.cluster]:
            job = await self._jobmap.call(JobMap.job, job_id)
            if job is None or job.submission is not Submission.INTENT or job.state.is_final:
                return
            try:
                await self._submit(job)
            except ClusterUnavailable as error:
                log.warning("submission postponed", job_id=job_id, cluster=job.cluster, reason=str(error))
            except Exception:
                log.exception("submission failed", job_id=job_id)

    async def _submit(self, job: JobRow) -> None:
        if await self._must_look_up(job):
            found = await self._look_up(job)
            if found is not None:
                log.info("job adopted", job_id=job.job_id, slurm_id=found.slurm_id, restart=found.restart)
                await self._adopt(job, found)
                return
            if self._clock() < self._absent_from(job):
                return
        if job.wished_state is not None:
            await self._end(job, job.wished_state, job.wished_message or "")
            return
        if job.doubts >= MAX_DOUBTS:
            await self._end(job, JobState.FAILURE, f"Slurm did not accept the job: {job.slurm_reason}")
            return
        await self._clusters[job.cluster].connected()
        request = await self._complete_request(job)
        if request is not None:
            await self._hand_over(job, request)

    def _absent_from(self, job: JobRow) -> float:
        """Return from when on a job that is not found will not come: an sbatch may still be on its way."""
        if job.last_try_at is None:
            return 0
        grace = self._config.tracker.absence_grace_seconds
        return job.last_try_at + grace + (0 if job.try_answered else LONGEST_SBATCH_SECONDS)

    async def _must_look_up(self, job: JobRow) -> bool:
        """Say whether Slurm may have the job: after an earlier try, or if it is older than the job map."""
        return job.tries > 0 or await self._is_older_than_the_map(job)

    async def _is_older_than_the_map(self, job: JobRow) -> bool:
        return job.created_at <= (await self._jobmap.call(JobMap.cluster, job.cluster)).known_since

    async def _look_up(self, job: JobRow) -> Found | None:
        earliest = self._clock() - self._config.tracker.lookup_days * 86400
        since = int(max(job.created_at - 3600, earliest))
        cluster = self._clusters[job.cluster]
        user, account = job.local_user, job.account
        if job.allow_restart is None or job.restart or not await self._is_older_than_the_map(job):
            return await look_up(cluster, tag=job.tag, user=user, account=account, since=since)
        # A job map that was lost may have known restarts of the job, whose names differ.
        live, records = await cluster.live_jobs(), await cluster.accounting(since)
        return choose_latest(
            live, records, tagger=self._tagger, job_id=job.job_id, user=user, account=account
        )

    async def _adopt(self, job: JobRow, found: Found) -> None:
        """Take a Slurm job for ours: as the restart that its name says, if that is a later one."""
        restart = max(job.restart, found.restart)
        columns = {"restart": restart, "tag": self._tagger.tag(job.job_id, restart)}
        change = JobChange(
            job.job_id,
            columns if restart > job.restart else {},
            attempts=found.attempts,
            charges=past_charges(self._config.provider.id, replace(job, restart=restart), found.attempts),
        )
        await self._apply(change)
        await self._submitted(job, found.slurm_id, found.folder, found.submit_time)

    async def _complete_request(self, job: JobRow) -> SubmitRequest | None:
        """Return the request with its time limit; None when the cluster's limits forbid the job."""
        request = json_format.Parse(job.submit_request or "{}", SubmitRequest())
        cache = self._limits[job.cluster]
        limits = await cache.last_known() or await cache.fresh()
        updates = []
        if not request.time_limit_seconds and (longest := maximum_time(request, limits)):
            request.time_limit_seconds = longest
            updates.append(JobUpdate(newTimeAllocation=longest * 1000))
        if why := objection(request, limits):
            await self._end(job, JobState.FAILURE, f"The job cannot run: {why}")
            return None
        columns: dict[str, object] = {
            "tries": job.tries + 1,
            "last_try_at": int(self._clock()),
            "try_answered": False,
        }
        if updates:
            columns["time_limit_seconds"] = request.time_limit_seconds
            columns["submit_request"] = json_format.MessageToJson(request, preserving_proto_field_name=True)
        await self._apply(JobChange(job.job_id, columns, updates=updates))
        return request

    async def _hand_over(self, job: JobRow, request: SubmitRequest) -> None:
        response = await self._clusters[job.cluster].submit(request)
        match response.WhichOneof("outcome"):
            case "submitted":
                submitted = response.submitted
                await self._submitted(job, submitted.slurm_id, submitted.folder, int(self._clock()))
            case "refused":
                message = f"The job could not be submitted: {response.refused.reason}"
                await self._end(job, JobState.FAILURE, message)
            case _:
                reason = response.doubt.reason
                log.warning("submission in doubt", job_id=job.job_id, reason=reason)
                columns = {
                    "slurm_reason": reason,
                    "last_try_at": int(self._clock()),
                    "try_answered": True,
                    "doubts": job.doubts + 1,
                }
                await self._apply(JobChange(job.job_id, columns))

    async def _submitted(self, job: JobRow, slurm_id: int, folder: str, submit_time: int) -> None:
        columns = {
            "submission": Submission.SUBMITTED,
            "slurm_id": slurm_id,
            "folder": folder or None,
            "submitted_at": submit_time,
            "slurm_reason": None,
        }
        update = JobUpdate(
            status=f"The job is in the queue of the partition {job.partition} (Slurm job {slurm_id})",
            outputFolder=ucloud_path(folder, self._config.drives),
        )
        await self._apply(JobChange(job.job_id, columns, updates=[update]))

    async def _end(self, job: JobRow, state: JobState, message: str) -> None:
        columns: dict[str, object] = {
            "submission": Submission.NONE,
            "state": state,
            "message": message,
            "ended_at": int(self._clock()),
        }
        again = None if job.allow_restart is None else False
        update = JobUpdate(state=state, status=message, allowRestart=again)
        await self._apply(JobChange(job.job_id, columns | {"allow_restart": again}, updates=[update]))

    async def _apply(self, change: JobChange) -> None:
        await self._jobmap.call(JobMap.apply, [change])
        self._told()
