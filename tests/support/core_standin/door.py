"""The stand-in's own door, /standin/...: what tests ask of it that no real Core offers."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from .enduser import EndUserApi
from .journal import matching_item, path_matches
from .ledger import Wallet
from .polling import poll_everything
from .provider import ProviderClient
from .restarts import Restarts
from .sharing import Sharing
from .wire import FINAL_STATES, CoreError, JsonObject, integer, items_of, now_ms, text
from .world import Failure, World


class Door:
    """One method a call; `tests.support.standin.CoreStandin` is its client."""

    def __init__(
        self,
        world: World,
        provider: ProviderClient,
        end_user: EndUserApi,
        sharing: Sharing,
        restarts: Restarts,
    ) -> None:
        self._world = world
        self._provider = provider
        self._end_user = end_user
        self._sharing = sharing
        self._restarts = restarts

    async def create(self, raw: bytes) -> JsonObject:
        """Send a Bulk<Job> to the provider byte for byte; new ids get a row, deleted if it is refused.

        A known job is created once more: its row is reopened if the provider allows a restart.
        """
        jobs = items_of(json.loads(raw))
        new = [job["id"] for job in jobs if self._world.jobs.add(copy.deepcopy(job))]
        for row in (self._world.jobs.get(job["id"]) for job in jobs):
            if row["status"]["state"] in FINAL_STATES and row["status"]["allowRestart"]:
                self._world.jobs.reopen(row)
        user = jobs[0]["owner"]["createdBy"] if jobs else None
        answer = await self._provider.call("POST", "jobs", raw, user=user)
        if not answer.ok:
            self._world.jobs.forget(new)
        elif isinstance(answer.body, dict) and len(answer.body.get("responses") or []) == len(jobs):
            self._end_user.keep_provider_ids([job["id"] for job in jobs], answer.body["responses"])
        else:
            self._world.journal.violation("the reply has not one response per item", "jobs", answer.body)
        return answer.as_json()

    async def call(self, body: JsonObject) -> JsonObject:
        """Any call to the provider: `{path, body?, user?, method?, token?, replay?}`."""
        content = json.dumps(body["body"]).encode() if body.get("body") is not None else None
        answer = await self._provider.call(
            body.get("method", "POST"),
            text(body, "path"),
            content,
            user=body.get("user"),
            token=body.get("token"),
            replay=body.get("replay", True),
        )
        return answer.as_json()

    async def poll(self) -> JsonObject:
        """One round of today's polling; the answer of each path."""
        return await poll_everything(self._provider)

    async def revoke(self, body: JsonObject) -> JsonObject:
        """`{user, path}`: the user loses the files below this path, and the jobs that use them."""
        return await self._sharing.revoke(body)

    async def restart(self, body: JsonObject) -> JsonObject:
        """`{id}`: a new create of an ended job."""
        return await self._restarts.restart(text(body, "id"))

    def add_jobs(self, body: Any) -> JsonObject:
        """Rows only, for jobs `{id, owner?, specification?, status?}`; nothing is sent."""
        return {"added": [job["id"] for job in items_of(body) if self._world.jobs.add(job)]}

    def job(self, query: Mapping[str, str]) -> JsonObject:
        """A row, whole."""
        return self._world.jobs.get(query.get("id"))

    def received(self, query: Mapping[str, str]) -> JsonObject:
        """Calls from the provider after number `since`, by the end of their path."""
        return _records(self._world.journal.received, query)

    def sent(self, query: Mapping[str, str]) -> JsonObject:
        """Calls to the provider, likewise."""
        return _records(self._world.journal.sent, query)

    async def wait(self, query: Mapping[str, str]) -> JsonObject:
        """The first call that matches, as soon as it is there; 408 at the deadline.

        Refused calls do not match unless `accepted=false`.
        """
        job, state, status = query.get("job"), query.get("state"), query.get("status")
        bare = job is None and state is None and status is None
        any_status = query.get("accepted") == "false"

        def matches(record: JsonObject) -> bool:
            return (
                path_matches(record["path"], query.get("path"))
                and (any_status or record["status"] == 200)
                and (bare or matching_item(record, job, state, status) is not None)
            )

        timeout_seconds = float(query.get("timeout") or 30)
        record = await self._world.journal.wait(matches, int(query.get("since") or 0), timeout_seconds)
        if record is None:
            raise CoreError(408, f"Nothing received within {timeout_seconds:g} s for {dict(query)}")
        return record | {"item": matching_item(record, job, state, status)}

    def violations(self) -> JsonObject:
        """The provider's breaches of the protocol so far."""
        return {"violations": self._world.journal.violations}

    def clear_violations(self) -> JsonObject:
        """Forget them."""
        self._world.journal.violations.clear()
        return {}

    def set_wallet(self, body: JsonObject) -> JsonObject:
        """`{user | project, category, balance}`: what the owner has from now on."""
        owner = _owner(body)
        wallet = Wallet(balance=integer(body, "balance"))
        self._world.ledger.wallets[owner, text(body, "category")] = wallet
        return vars(wallet)

    def wallet(self, query: Mapping[str, str]) -> JsonObject:
        """`{balance, charged}` of `?user=|project=&category=`."""
        return vars(self._world.ledger.wallet(_owner(dict(query)), query["category"]))

    def charges(self) -> JsonObject:
        """Every charge that was taken."""
        return {"charges": [vars(charge) for charge in self._world.ledger.charges.values()]}

    def usage(self) -> JsonObject:
        """What was reported: `{owner, category, scope, usage}` each, the last total of its scope."""
        names = ("owner", "category", "scope")
        totals = self._world.usage.totals.items()
        return {"usage": [dict(zip(names, key, strict=True)) | {"usage": total} for key, total in totals]}

    def connections(self) -> JsonObject:
        """The users who have linked an account."""
        return {"users": sorted(self._world.connections)}

    def set_ssh_keys(self, body: JsonObject) -> JsonObject:
        """`{user, keys: [public key]}`: gives the keys as Core shows them."""
        user = text(body, "user")
        self._world.ssh_keys[user] = [
            {
                "id": f"{user}-{number}",
                "owner": user,
                "createdAt": now_ms(),
                "fingerprint": "",
                "specification": {"title": f"Key {number}", "key": key},
            }
            for number, key in enumerate(body["keys"], 1)
        ]
        return {"keys": self._world.ssh_keys[user]}

    def behave(self, body: JsonObject) -> JsonObject:
        """Change what is named: down, delay_seconds, doubled_slashes, restart_after_seconds, fail_next,
        forget, next_ids, provider_url.
        """
        behaviour = self._world.behaviour
        for key in ("down", "delay_seconds", "doubled_slashes", "restart_after_seconds"):
            if key in body:
                setattr(behaviour, key, body[key])
        if "fail_next" in body:
            behaviour.failures = [Failure(**failure) for failure in body["fail_next"]]
        if "provider_url" in body:
            self._world.provider_url = body["provider_url"].rstrip("/")
        self._world.jobs.next_ids = list(body.get("next_ids", self._world.jobs.next_ids))
        self._world.jobs.forget(body.get("forget", []))
        return {}

    def add_application(self, body: JsonObject) -> JsonObject:
        """One more application `{metadata, invocation}`."""
        self._world.catalogue.add_application(body)
        return {}

    def add_product(self, body: JsonObject) -> JsonObject:
        """One more product, as in `products.json`."""
        self._world.catalogue.add_product(body)
        self._world.support = {}
        return {}

    def user_token(self, query: Mapping[str, str]) -> str:
        """A token of `?user=[&project=]`."""
        return self._world.keys.user_token(query["user"], query.get("project"))

    def core_token(self) -> str:
        """A token that the provider must accept."""
        return self._world.keys.service_token()

    def provider_token(self) -> str:
        """The provider's access token."""
        return self._world.keys.provider_token()

    def sign(self, body: JsonObject) -> str:
        """A token of any claims, algorithm and key: `{claims?, algorithm?, key?}`."""
        return self._world.keys.sign(
            body.get("claims") or {}, body.get("algorithm", "RS256"), body.get("key")
        )


def _records(records: list[JsonObject], query: Mapping[str, str]) -> JsonObject:
    since = int(query.get("since") or 0)
    items = [record for record in records[since:] if path_matches(record["path"], query.get("path"))]
    return {"items": items, "last": len(records)}


def _owner(body: JsonObject) -> str:
    return f"project:{body['project']}" if body.get("project") else f"user:{text(body, 'user')}"
