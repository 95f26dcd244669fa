"""The document's example "Following the progress of a Job", in a browser."""

from playwright.async_api import Page, expect

from tests.browser.portal import Portal

SCRIPT = """\
cd /etc/ucloud
echo "rank $(cat rank.txt) begins: ñ 漢字 🙂"
echo "rank $(cat rank.txt) warns" >&2
until [ -e "/work/go-on" ]; do sleep 0.2; done
for number in $(seq 200); do echo "line $number of rank $(cat rank.txt)"; done
"""


async def log_of(page: Page, rank: int) -> str:
    return await page.inner_text(f"#log-{rank}")


async def test_a_job_of_three_replicas_is_followed_live(portal: Portal) -> None:
    job_id = await portal.submit(replicas=3, script=SCRIPT)
    page = await portal.open("job.html", id=job_id)
    await expect(page.locator("#state")).to_have_text("RUNNING")
    for rank in range(3):
        log = page.locator(f"#log-{rank}")
        await expect(log.locator(".stdout")).to_have_text(f"rank {rank} begins: ñ 漢字 🙂\n")
        await expect(log.locator(".stderr")).to_have_text(f"rank {rank} warns\n")
    await portal.shot(page, "running")

    folder = portal.stack.job_folder("alice", job_id)
    (folder / "go-on").touch()
    await expect(page.locator("#state")).to_have_text("SUCCESS")
    await expect(page.locator("body")).to_have_attribute("data-follow", "ended")
    for rank in range(3):
        lines = (await log_of(page, rank)).splitlines()
        assert [line for line in lines if line.startswith("line")] == [
            f"line {number} of rank {rank}" for number in range(1, 201)
        ]
    states = await page.locator("#updates .state").all_inner_texts()
    assert states == ["IN_QUEUE", "RUNNING", "SUCCESS"]


async def test_a_follow_that_is_opened_late_shows_all_from_the_first_line(portal: Portal) -> None:
    job_id = await portal.submit(script="echo first; echo second >&2; echo third")
    await portal.stack.core.wait_update(job_id, state="SUCCESS", timeout=60)
    page = await portal.open()
    row = page.locator(f"tr[data-job='{job_id}']")
    await expect(row.locator(".state")).to_have_text("SUCCESS")
    await portal.shot(page, "jobs")
    await row.get_by_role("button", name="Follow").click()
    await expect(page.locator("#log-0 .stderr")).to_have_text("second\n")
    await expect(page.locator("body")).to_have_attribute("data-follow", "ended")
    assert "".join(await page.locator("#log-0 .stdout").all_inner_texts()).split() == ["first", "third"]


async def test_a_restart_of_the_provider_loses_nothing_of_the_log(portal: Portal) -> None:
    waiting = "until [ -e /work/go-on ]; do sleep 0.2; done"
    job_id = await portal.running(script=f"echo before; {waiting}; echo after")
    page = await portal.open("job.html", id=job_id)
    await expect(page.locator("#log-0")).to_have_text("before\n")
    await portal.stack.facade.kill()
    await expect(page.locator("body")).to_have_attribute("data-follow", "lost")
    (portal.stack.job_folder("alice", job_id) / "go-on").touch()
    await portal.stack.facade.start()
    await expect(page.locator("body")).to_have_attribute("data-follow", "ended")
    await expect(page.locator("#log-0")).to_have_text("before\nafter\n")
    await expect(page.locator("#state")).to_have_text("SUCCESS")
