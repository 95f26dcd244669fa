"""The calls of the control API that only today's Core has."""

import json
from collections.abc import Sequence
from typing import TypeVar

from slurm_provider.core.client import Answer, CoreClient, CoreUnavailable, bulk, parse
from slurm_provider.ucloud.bulk import BulkResponse, FindByStringId
from slurm_provider.ucloud.control import ExistenceAnswer, UsageAnswer
from slurm_provider.ucloud.jobs import JobPage

Item = TypeVar("Item")

MOST_EXISTENCE_CHECKS = 1000
PRODUCTS_IN_A_CALL = 100


class TodaysCore:
    """Today's Core as the provider sees it. Calls raise CoreUnavailable or CoreRefused."""

    def __init__(self, client: CoreClient) -> None:
        self._client = client

    async def report_usage(self, items: Sequence[str]) -> list[bool]:
        """Report totals (`accounting/v2/reportUsage`), each the JSON of one item.

        Return for each whether the owner's wallet is still open.
        """
        answer = await self._bulk("/api/accounting/v2/reportUsage", items, UsageAnswer)
        return _one_for_each(items, answer.responses)

    async def check_existence(self, job_ids: Sequence[str]) -> list[bool]:
        """Return for each of at most MOST_EXISTENCE_CHECKS jobs whether Core has it (`checkExistence`)."""
        items = [json.dumps({"type": "job", "id": job_id}) for job_id in job_ids]
        path = "/api/providers/resources/checkExistence"
        answer = await self._bulk(path, items, ExistenceAnswer)
        return _one_for_each(items, answer.responses)

    async def register_products(self, items: Sequence[str]) -> None:
        """Register products (`products/v2`), each the JSON of one; those that Core has are renewed."""
        for start in range(0, len(items), PRODUCTS_IN_A_CALL):
            batch = bulk(items[start : start + PRODUCTS_IN_A_CALL])
            await self._client.control("POST", "/api/products/v2", body=batch)

    async def register_job(self, item: str) -> str:
        """Register a job that began here (`jobs/control/register`); return Core's id of it.

        Core takes a second registration for another job: see `find_job`.
        """
        answer = await self._bulk("/api/jobs/control/register", [item], BulkResponse[FindByStringId])
        return _one_for_each([item], answer.responses)[0].id

    async def find_job(self, provider_generated_id: str) -> str | None:
        """Return Core's id of the job that was registered with this id, or None (`jobs/control/browse`)."""
        query = {"filterProviderIds": provider_generated_id, "itemsPerPage": "10"}
        page = parse(await self._client.control("GET", "/api/jobs/control/browse", query=query), JobPage)
        found = (job.id for job in page.items or () if job.providerGeneratedId == provider_generated_id)
        return next(found, None)

    async def _bulk(self, path: str, items: Sequence[str], model: type[Answer]) -> Answer:
        return parse(await self._client.control("POST", path, body=bulk(items)), model)


def _one_for_each(items: Sequence[str], answers: list[Item]) -> list[Item]:
    if len(answers) != len(items):
        raise CoreUnavailable(f"Core gave {len(answers)} answers to {len(items)} items")
    return answers
