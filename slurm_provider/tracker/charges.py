"""What a job owes: units of its product's price, cut on a fixed grid of the job's own used time.

E is the sum of Slurm's elapsed seconds over a job's attempts since its last restart. Cell k of the
grid holds the units (kG, (k+1)G]. While a job lives only full cells are charged, at its end the
shorter last one. So the same job makes the same charges again after a lost job map, and Core ignores
them by their ids.
"""

from collections.abc import Mapping

from slurm_provider.jobmap import Charge, JobRow

# UCloud's ProductPriceUnit to seconds in a unit; 0: paid once.
UNIT_SECONDS: Mapping[str, int] = {
    "CREDITS_PER_UNIT": 0,
    "PER_UNIT": 0,
    "CREDITS_PER_MINUTE": 60,
    "UNITS_PER_MINUTE": 60,
    "CREDITS_PER_HOUR": 3600,
    "UNITS_PER_HOUR": 3600,
    "CREDITS_PER_DAY": 86400,
    "UNITS_PER_DAY": 86400,
    # Today's AccountingFrequency.
    "ONCE": 0,
    "PERIODIC_MINUTE": 60,
    "PERIODIC_HOUR": 3600,
    "PERIODIC_DAY": 86400,
}
DEFAULT_PRICE_UNIT = "CREDITS_PER_MINUTE"


def grid_units(unit_seconds: int) -> int:
    """Return the default number of units in a charge: 15 minutes, an hour, a day, or the one."""
    return 15 if unit_seconds == 60 else 1


def units_used(elapsed_seconds: int, unit_seconds: int, *, ended: bool) -> int:
    """Return the units that a started job owes: whole ones while it lives, at its end a begun one too."""
    if unit_seconds == 0:
        return 1
    return -(-elapsed_seconds // unit_seconds) if ended else elapsed_seconds // unit_seconds


def charge_prefix(provider_id: str, job: JobRow) -> str:
    """Return how the ids of a job's charges begin: each restart has a grid of its own."""
    return f"{provider_id}-{job.job_id}" + (f"-r{job.restart}" if job.restart else "")


def due(provider_id: str, job: JobRow, elapsed_seconds: int, *, ended: bool) -> list[Charge]:
    """Return the charges that a job owes beyond `job.charged_units`: none if it never started."""
    if job.started_at is None and elapsed_seconds == 0:
        return []
    used = units_used(elapsed_seconds, job.unit_seconds, ended=ended)
    grid = job.grid_units if job.unit_seconds else 1
    charges = []
    start = job.charged_units
    while start < used:
        end = (start // grid + 1) * grid
        if end > used and not ended:
            break
        end = min(end, used)
        charges.append(
            Charge(
                charge_id=f"{charge_prefix(provider_id, job)}-{start}-{end}",
                job_id=job.job_id,
                from_unit=start,
                to_unit=end,
                periods=job.replicas,
                restart=job.restart,
            )
        )
        start = end
    return charges
