"""The header of a batch script, and what sbatch's answers are worth."""

from pathlib import Path
from typing import Any

import pytest

from slurm_provider.rpc.v1.submission_pb2 import SbatchOption, SubmitRequest
from slurm_provider.slurm.command import Outcome
from slurm_provider.slurm.sbatch import InvalidDirective, Sbatch, batch_script

DATA = Path(__file__).parents[1] / "data/slurm"
SBATCH = Sbatch(script="#!/bin/sh\ntrue\n", folder="/jobs/1")
REFUSED = "sbatch: error: Batch job submission failed: "
POLICY = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"


def stderr(name: str) -> str:
    return (DATA / f"sbatch-{name}.stderr.txt").read_text()


def request(**changes: Any) -> SubmitRequest:
    asked: dict[str, Any] = {"name": "uc-1-ab", "partition": "main", "nodes": 1, "script": "srun true\n"}
    return SubmitRequest(**asked | changes)


def header(asked: SubmitRequest, folder: str = "/jobs/1") -> list[str]:
    text = batch_script(asked, folder, f"{folder}/.ucloud")
    return [line for line in text.splitlines() if line.startswith("#SBATCH")]


def test_sbatch_is_given_the_script_and_nothing_else() -> None:
    assert SBATCH.argv() == ["sbatch", "--parsable"]
    assert SBATCH.stdin() == "#!/bin/sh\ntrue\n"


@pytest.mark.parametrize(
    ("stdout", "error", "returncode"),
    [
        ((DATA / "sbatch-success.txt").read_text(), "", 0),
        ("30", "", 0),
        ("30\n", stderr("hung"), 1),
        ("30\n", "", None),
        ("30\n", "sbatch: a site's own remark", 0),
        ("A site's own remark, 5 lines\n30\n", "", 0),
    ],
)
def test_an_id_counts_whatever_the_exit_code(stdout: str, error: str, returncode: int | None) -> None:
    submitted = SBATCH.parse(Outcome(returncode, stdout, error)).submitted
    assert (submitted.slurm_id, submitted.folder) == (30, "/jobs/1")


def test_the_clusters_name_after_the_id_is_left_out() -> None:
    stdout = (DATA / "sbatch-success-cluster.txt").read_text()
    assert stdout == "31;hpc\n"
    assert SBATCH.parse(Outcome(0, stdout, "")).submitted.slurm_id == 31


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (stderr("bad-partition"), "Invalid partition name specified"),
        (stderr("bad-account"), "Invalid account or account/partition combination specified"),
        (stderr("bad-qos"), "Invalid qos specification"),
        (stderr("bad-constraint"), "Invalid feature specification"),
        (
            f"{REFUSED}Requested node configuration is not available\n",
            "Requested node configuration is not available",
        ),
        (
            f"{REFUSED}{POLICY}\n",
            POLICY,
        ),
        (f"sbatch: a site's own words\n{REFUSED}Unspecified error\n", "Unspecified error"),
    ],
)
def test_what_slurm_turns_down_is_a_refusal_in_its_own_words(error: str, reason: str) -> None:
    response = SBATCH.parse(Outcome(1, "", error))
    assert response.WhichOneof("outcome") == "refused"
    assert response.refused.reason == reason


@pytest.mark.parametrize(
    ("returncode", "error", "reason"),
    [
        (1, stderr("hung"), "Socket timed out on send/recv operation"),
        (1, stderr("down"), "Unable to contact slurm controller (connect failure)"),
        (1, stderr("nomunge"), "Protocol authentication error"),
        (1, f"{REFUSED}Zero Bytes were transmitted or received\n", "Zero Bytes"),
        (1, f"{REFUSED}Slurm backup controller in standby mode\n", "standby"),
        (1, f"{REFUSED}Communication connection failure\n", "Communication"),
        (None, "", "no answer in time"),
        (-9, "", "exit code -9"),
        (0, "", "exit code 0"),
        (127, "sbatch: No such file or directory", "No such file or directory"),
    ],
)
def test_what_slurm_may_have_taken_is_in_doubt(returncode: int | None, error: str, reason: str) -> None:
    response = SBATCH.parse(Outcome(returncode, "", error))
    assert response.WhichOneof("outcome") == "doubt"
    assert reason in response.doubt.reason


@pytest.mark.parametrize("name", ["bad-gpus", "bad-time", "no-script", "no-shebang"])
def test_what_sbatch_itself_finds_wrong_is_never_a_submission(name: str) -> None:
    response = SBATCH.parse(Outcome(1, "", stderr(name)))
    assert response.WhichOneof("outcome") != "submitted"


def test_every_option_stands_in_the_header() -> None:
    asked = request(
        comment="uc-1-ab",
        account="users",
        qos="normal",
        nodes=2,
        cpus_per_task=4,
        memory_mib_per_node=1536,
        gpus_per_node=1,
        time_limit_seconds=90061,
        constraint="intel&(ib|opa)",
    )
    assert header(asked, "/home/of bob/1") == [
        "#SBATCH --job-name=uc-1-ab",
        "#SBATCH --comment=uc-1-ab",
        "#SBATCH --account=users",
        "#SBATCH --partition=main",
        "#SBATCH --qos=normal",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --mem=1536M",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --time=1-01:01:01",
        "#SBATCH --constraint=intel&(ib|opa)",
        '#SBATCH --chdir="/home/of bob/1"',
        '#SBATCH --output="/home/of bob/1/.ucloud/batch.log"',
        "#SBATCH --no-requeue",
    ]


def test_what_an_application_asks_for_stands_before_ours_and_so_cannot_change_it() -> None:
    asked = request(tasks_per_node=2, options=[SbatchOption(name="signal", value="B:USR1@60")])
    asked.options.append(SbatchOption(name="contiguous"))
    lines = header(asked)
    assert lines[:2] == ["#SBATCH --signal=B:USR1@60", "#SBATCH --contiguous"]
    assert "#SBATCH --ntasks-per-node=2" in lines


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account", "root"),
        ("uid", "0"),
        ("ui", "0"),
        ("wrap", "id"),
        ("nodes", "9"),
        ("Signal", "x"),
        ("signal\n#SBATCH --uid", "0"),
        ("signal", "x\n#SBATCH --uid=0"),
        ("signal", "x y"),
    ],
)
def test_an_option_that_no_application_may_set_is_refused_here_too(name: str, value: str) -> None:
    with pytest.raises(InvalidDirective):
        batch_script(request(options=[SbatchOption(name=name, value=value)]), "/jobs/1", "/jobs/1/.ucloud")


def test_what_is_not_asked_for_is_left_to_slurm() -> None:
    assert [line.split("=")[0].removeprefix("#SBATCH --") for line in header(request())] == [
        "job-name",
        "partition",
        "nodes",
        "ntasks-per-node",
        "chdir",
        "output",
        "no-requeue",
    ]


@pytest.mark.parametrize(("requeue", "line"), [(True, "#SBATCH --requeue"), (False, "#SBATCH --no-requeue")])
def test_whether_slurm_may_requeue_a_job_is_said_whatever_slurms_default(requeue: bool, line: str) -> None:
    assert [text for text in header(request(requeue=requeue)) if "requeue" in text] == [line]


def test_the_header_stands_between_the_first_line_and_the_script() -> None:
    text = batch_script(request(), "/jobs/1", "/jobs/1/.ucloud")
    assert text.startswith("#!/bin/bash --login\n#SBATCH ")
    assert text.endswith("\n\nsrun true\n")


@pytest.mark.parametrize("option", ["name", "comment", "account", "partition", "qos", "constraint"])
@pytest.mark.parametrize(
    "value",
    ["a\n#SBATCH --uid=0", "a\n", "a b", "a\tb", 'a"b', "a'b", "a\\b", "a#b", "a;b", "a\0b", "é", "a\rb"],
)
def test_a_value_that_would_not_stay_one_value_is_refused_by_its_option(option: str, value: str) -> None:
    with pytest.raises(InvalidDirective, match="job-name" if option == "name" else option):
        batch_script(request(**{option: value}), "/jobs/1", "/jobs/1/.ucloud")


@pytest.mark.parametrize(
    "folder", ["/a\n#SBATCH --uid=0", '/a"b', "/a\\b", "/a%jb", "/a\0b", "/a\tb", "/a\x7f\r"]
)
def test_a_folder_that_slurm_would_change_is_refused(folder: str) -> None:
    with pytest.raises(InvalidDirective, match="folder"):
        batch_script(request(), folder, f"{folder}/.ucloud")
