"""Public links in the job map: whose a domain is, and to which one living job it leads."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slurm_provider.config import PublicLinks, Web
from slurm_provider.jobmap import JobChange, JobMap, LinkTaken, LinkUse, PublicLink, Target
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.links import wished_links
from slurm_provider.tracker.link_domains import domain_objection
from slurm_provider.ucloud.jobs import Application, JobSpecification, JobState
from tests.unit.builders import job

NOW = 5_000.5
LINK = PublicLink("41231", "app-mine.example.com", "links", "links", "user", None, 4_000)
OTHER = replace(LINK, link_id="41232", domain="app-other.example.com")
PRODUCT = PublicLinks(category="links", id="links", prefix="app-", suffix=".example.com")
GATEWAY = Web(prefix="app-", suffix=".example.com")
ELSEWHERE = Web(prefix="app-", suffix=".apps.example.com")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def jobmap(path: Path) -> Iterator[JobMap]:
    opened = JobMap(path, lambda: NOW)
    opened.links.add([LINK, OTHER])
    yield opened
    opened.close()


def start(jobmap: JobMap, job_id: str, *uses: LinkUse, state: JobState = JobState.RUNNING) -> dict[str, str]:
    return jobmap.add_jobs([(job(job_id=job_id, state=state), JobChange(job_id, links=uses))])


def end(jobmap: JobMap, job_id: str) -> None:
    jobmap.apply([JobChange(job_id, {"state": JobState.SUCCESS})])


def leads_to(jobmap: JobMap, domain: str) -> str | None:
    binding = jobmap.links.at(domain)
    return binding.job_id if binding and binding.is_open else None


def told(jobmap: JobMap) -> list[str]:
    return [item.body for item in jobmap.outbox.undelivered(100)]


def test_core_is_told_once_that_a_new_link_is_ready(jobmap: JobMap) -> None:
    assert jobmap.links.add([LINK]) == []
    assert [f'"id":"{link.link_id}"' in body for link, body in zip([LINK, OTHER], told(jobmap), strict=True)]
    assert all('"state":"READY"' in body for body in told(jobmap))


def test_of_several_links_with_one_domain_none_is_made(jobmap: JobMap) -> None:
    fresh = replace(LINK, link_id="1", domain="app-fresh.example.com")
    with pytest.raises(LinkTaken, match=r"the domain 'app-fresh\.example\.com' is taken already"):
        jobmap.links.add([fresh, replace(fresh, link_id="2")])
    assert jobmap.links.at(fresh.domain) is None
    assert len(told(jobmap)) == 2


def test_a_link_cannot_come_again_with_another_domain(jobmap: JobMap) -> None:
    with pytest.raises(LinkTaken, match=r"the public link 41231 has the domain 'app-mine\.example\.com'"):
        jobmap.links.add([replace(LINK, domain="app-fresh.example.com")])


def test_a_host_name_leads_to_the_running_job_that_took_its_link(jobmap: JobMap) -> None:
    assert start(jobmap, "1", LinkUse("41231", 8888)) == {}
    binding = jobmap.links.at("App-Mine.Example.COM")
    assert binding is not None
    assert (binding.link, binding.job_id, binding.rank, binding.port) == (LINK, "1", 0, 8888)
    assert binding.is_open
    assert jobmap.links.at("app-unknown.example.com") is None


def test_a_link_without_a_port_leads_to_the_applications_own(jobmap: JobMap) -> None:
    start(jobmap, "1", LinkUse("41231"))
    binding = jobmap.links.at(LINK.domain)
    assert binding is not None
    assert binding.port is None


@pytest.mark.parametrize("state", [JobState.IN_QUEUE, JobState.SUSPENDED, JobState.CANCELING])
def test_a_link_is_held_but_open_to_nobody_while_its_job_is_not_running(
    jobmap: JobMap, state: JobState
) -> None:
    start(jobmap, "1", LinkUse("41231"), state=state)
    binding = jobmap.links.at(LINK.domain)
    assert binding is not None
    assert (binding.job_id, binding.is_open) == ("1", False)


def test_a_link_is_closed_as_soon_as_somebody_wants_its_job_to_end(jobmap: JobMap) -> None:
    start(jobmap, "1", LinkUse("41231"))
    jobmap.apply([JobChange("1", {"wished_state": JobState.SUCCESS})])
    assert leads_to(jobmap, LINK.domain) is None


def test_a_second_job_gets_no_link_that_a_living_job_holds(jobmap: JobMap) -> None:
    start(jobmap, "1", LinkUse("41231"), state=JobState.IN_QUEUE)
    refused = start(jobmap, "2", LinkUse("41232"), LinkUse("41231"))
    assert refused == {
        "2": "the public link 'app-mine.example.com' is in use by the job 1; it is free again when that has"
        " ended"
    }
    assert jobmap.job("2") is None
    other = jobmap.links.get("41232")
    assert other is not None
    assert other.job_id is None


def test_of_two_jobs_in_one_call_only_the_first_gets_the_link(jobmap: JobMap) -> None:
    jobs = [(job(job_id=id_), JobChange(id_, links=[LinkUse("41231")])) for id_ in ("1", "2")]
    assert list(jobmap.add_jobs(jobs)) == ["2"]


def test_a_link_is_free_again_with_the_jobs_end(jobmap: JobMap) -> None:
    start(jobmap, "1", LinkUse("41231", 8888))
    end(jobmap, "1")
    binding = jobmap.links.get("41231")
    assert binding is not None
    assert (binding.job_id, binding.port, binding.is_open) == (None, None, False)
    assert start(jobmap, "2", LinkUse("41231")) == {}
    assert leads_to(jobmap, LINK.domain) == "2"


def test_a_job_that_starts_anew_has_its_link_again_unless_another_took_it(jobmap: JobMap) -> None:
    again = JobChange("1", {"state": JobState.IN_QUEUE}, links=[LinkUse("41231")])
    start(jobmap, "1", LinkUse("41231"))
    end(jobmap, "1")
    jobmap.change_job("1", lambda _: again)
    end(jobmap, "1")
    start(jobmap, "2", LinkUse("41231"))
    with pytest.raises(LinkTaken, match="in use by the job 2"):
        jobmap.change_job("1", lambda _: again)
    row = jobmap.job("1")
    assert row is not None
    assert row.state is JobState.SUCCESS


def test_a_link_that_a_job_holds_cannot_be_deleted(jobmap: JobMap) -> None:
    start(jobmap, "1", LinkUse("41231"), state=JobState.IN_QUEUE)
    with pytest.raises(LinkTaken, match="in use by the job 1; end the job, then delete the link"):
        jobmap.links.delete(["41232", "41231"])
    assert jobmap.links.get("41232") is not None
    end(jobmap, "1")
    jobmap.links.delete(["41232", "41231", "unknown"])
    assert jobmap.links.get("41231") is None


def test_core_is_told_nothing_of_a_link_that_is_deleted(jobmap: JobMap) -> None:
    jobmap.links.delete(["41231"])
    assert [body for body in told(jobmap) if "41231" in body] == []


def test_links_and_bindings_are_there_when_the_job_map_is_opened_again(jobmap: JobMap, path: Path) -> None:
    start(jobmap, "1", LinkUse("41231", 80))
    again = JobMap(path, lambda: NOW)
    assert again.links.at(LINK.domain) == jobmap.links.at(LINK.domain)
    again.close()


def test_a_jobs_target_is_found_by_its_name_in_any_case(jobmap: JobMap) -> None:
    targets = [Target(0, "WEB", "tensorboard", 6006), Target(1, "WEB", "tensorboard", 6007)]
    jobmap.add_jobs([(job(), JobChange("54112", targets=[*targets, Target(0, "VNC", "", 5901)]))])
    assert jobmap.targets.find("54112", 1, "WEB", "TensorBoard") == targets[1]
    assert jobmap.targets.find("54112", 0, "VNC", None) == Target(0, "VNC", "", 5901)
    assert jobmap.targets.find("54112", 0, "WEB", None) is None
    assert jobmap.targets.find("54112", 0, "VNC", "tensorboard") is None


def test_a_job_that_starts_anew_has_its_new_targets_alone(jobmap: JobMap) -> None:
    jobmap.add_jobs([(job(), JobChange("54112", targets=[Target(0, "WEB", "old", 1)]))])
    jobmap.apply([JobChange("54112", {"message": "a change of something else"})])
    assert [target.target for target in jobmap.targets.of("54112")] == ["old"]
    jobmap.apply([JobChange("54112", targets=[Target(0, "WEB", "new", 2)])])
    assert [target.target for target in jobmap.targets.of("54112")] == ["new"]


@pytest.mark.parametrize("name", ["mine", "m", "my-application", "54112", "2nd", "a" * 59, "app-mine"])
def test_a_domain_is_one_name_between_prefix_and_suffix(name: str) -> None:
    assert domain_objection(f"app-{name}.example.com", PRODUCT, GATEWAY) is None


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ("mine.example.com", "must have the form 'app-NAME.example.com'"),
        ("app-mine.example.org", "must have the form"),
        ("app-.example.com", "must have the form"),
        ("app-mine.example.com.", "must have the form"),
        ("app-mine.evil.example.com", "no dots"),
        ("app-mine.example.com.example.com", "no dots"),
        ("app--mine.example.com", "cannot be the name of a web site"),
        ("app-mine-.example.com", "cannot be the name"),
        ("app-my_app.example.com", "cannot be the name"),
        ("app-möre.example.com", "cannot be the name"),
        ("app-mine\n.example.com", "cannot be the name"),
        ("app-a:80.example.com", "cannot be the name"),
        ("app-" + "a" * 60 + ".example.com", "cannot be the name"),
        ("app-54112-0.example.com", "looks like a job's own"),
        ("app-54112-0-tensorboard.example.com", "looks like a job's own"),
        ("app-my-job-12.example.com", "looks like a job's own"),
    ],
)
def test_a_domain_that_a_link_cannot_have_is_refused_in_words(domain: str, why: str) -> None:
    objection = domain_objection(domain, PRODUCT, GATEWAY)
    assert objection is not None
    assert why in objection


def test_a_name_with_a_number_is_no_jobs_where_jobs_have_other_domains() -> None:
    assert domain_objection("app-my-job-12.example.com", PRODUCT, ELSEWHERE) is None


def test_a_name_in_other_letters_than_it_shows_is_refused() -> None:
    plain = PublicLinks(category="links", id="links", suffix=".example.com")
    objection = domain_objection("xn--e1afmkfd.example.com", plain, None)
    assert objection is not None
    assert "xn--" in objection


def wished(application: dict[str, Any], *resources: dict[str, Any], **parameters: Any) -> list[LinkUse]:
    specification = JobSpecification.model_validate({"resources": resources, "parameters": parameters})
    return wished_links(specification, Application.model_validate({"invocation": application}))


def test_links_are_asked_for_among_resources_and_parameters() -> None:
    uses = wished(
        {"applicationType": "WEB"},
        {"type": "ingress", "id": "1", "port": 8080},
        {"type": "peer", "hostname": "db", "jobId": "7"},
        {"type": "ingress", "id": "2", "port": 0},
        {"type": "ingress", "id": "2"},
        link={"type": "ingress", "id": "3"},
    )
    assert uses == [LinkUse("3"), LinkUse("1", 8080), LinkUse("2")]


@pytest.mark.parametrize(
    ("application", "resource", "why"),
    [
        ({"applicationType": "BATCH"}, {}, "has no web pages that a public link could lead to"),
        ({"applicationType": "BATCH"}, {"port": 80}, "has no web pages"),
        ({"applicationType": "BATCH", "allowPublicLink": True}, {}, "has no web pages"),
        ({"applicationType": "WEB", "allowPublicLink": False}, {}, "does not allow public links"),
        ({"applicationType": "WEB"}, {"port": 65536}, "ports are between 1 and 65535"),
        ({"applicationType": "WEB"}, {"port": -1}, "ports are between 1 and 65535"),
    ],
)
def test_an_application_with_nothing_to_show_gets_no_link(
    application: dict[str, Any], resource: dict[str, Any], why: str
) -> None:
    with pytest.raises(LaunchError, match=why):
        wished(application, {"type": "ingress", "id": "1"} | resource)


def test_a_link_may_lead_to_a_port_of_an_application_that_allows_it() -> None:
    application = {"applicationType": "BATCH", "allowPublicLink": True}
    assert wished(application, {"type": "ingress", "id": "1", "port": 80}) == [LinkUse("1", 80)]


def test_one_link_cannot_lead_to_two_ports() -> None:
    links = [{"type": "ingress", "id": "1", "port": port} for port in (80, 81)]
    with pytest.raises(LaunchError, match="the public link 1 can lead to one port only"):
        wished({"applicationType": "WEB"}, *links)
