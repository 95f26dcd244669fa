"""Applications made for one test, and jobs of them."""

import copy
from typing import Any

from tests.support.jobs import application, job

SOFTWARE_IMAGE = "shell-script"
NATIVE = "native-script"


def job_of(
    *invocation: dict[str, Any],
    parameters: dict[str, dict[str, Any]] | None = None,
    values: dict[str, dict[str, Any]] | None = None,
    base: str = NATIVE,
    tool: dict[str, Any] | None = None,
    replicas: int = 1,
    product: str = "example-compute-1",
    specification: dict[str, Any] | None = None,
    **more: Any,
) -> Any:
    """Return a new job of an application that is `base` with another invocation.

    `parameters` are its declarations by name, `tool` and `more` change the tool and the invocation.
    """
    made = copy.deepcopy(application(base))
    described = made["invocation"]
    described["invocation"] = list(invocation)
    described["parameters"] = [{"name": name, "optional": True} | p for name, p in (parameters or {}).items()]
    described["tool"]["tool"]["description"] |= tool or {}
    described |= more
    created = job("", app=base, replicas=replicas, product=product, **(specification or {}))
    created["specification"]["parameters"] = values or {}
    created["status"]["resolvedApplication"] = made
    return created


def template(text: str) -> dict[str, Any]:
    """Return the invocation of a template."""
    return {"type": "jinja", "template": text}


def words(*texts: str) -> list[dict[str, Any]]:
    """Return the invocation of a fixed command line."""
    return [{"type": "word", "word": text} for text in texts]


def bash(script: str) -> list[dict[str, Any]]:
    """Return the invocation of a bash script."""
    return words("bash", "-c", script)
