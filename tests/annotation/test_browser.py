"""People review in a real browser, before a real Label Studio: what they see, and what becomes of what they decide."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from label_studio import PASSWORD, Person, builder, join, running
from playwright.sync_api import Browser, Dialog, Page, sync_playwright
from support import REPOSITORY, command, environment

from annotation import screen
from annotation.access import Access
from expertad.grid import cell_names
from expertad.sources.drawn import draw
from expertad.taxonomy import FINE_TERMS

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.browser]

WIDE = {"width": 1600, "height": 900}
SMALL = {"width": 1280, "height": 720}
ARTIFACTS = REPOSITORY / ".artifacts"
ANNA = "anna@example.org"

SEEN_MS = 30_000
"""Milliseconds to wait for a page on a busy machine; a quick one is not held up."""

ALWAYS = (
    ".expertad-reference .konvajs-content", ".expertad-query .konvajs-content", ".expertad-hints",
    ".expertad-description", ".expertad-reasoning", ".expertad-facts", ".expertad-decision label",
    ".expertad-note textarea", "button:has-text('Submit')",
)  # fmt: skip
"""What a reviewer needs whatever is decided."""

TASK = """(text => text ? parseInt(text.replace('#', '')) : null)(
  document.querySelector('.lsf-current-task__task-id')?.innerText)"""
"""The number of the task on the screen, or null between two."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.fail("these tests review in a real browser, which is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A server with the first workspace's files; the second workspace sends its photographs to it."""
    with running(tmp_path_factory.mktemp("review") / "drawn") as access:
        yield access


@dataclass
class Desk:
    """Somebody before the screen; knows what the browser was asked for and whether anything popped up."""

    person: Person
    page: Page
    popped_up: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)

    @property
    def asked_others(self) -> list[str]:
        """Addresses outside the server."""
        return [url for url in self.asked_for if not url.startswith((f"{self.person.access.url}/", "blob:", "data:"))]

    def dismiss(self, dialog: Dialog) -> None:
        self.popped_up.append(dialog.message)
        dialog.dismiss()

    def start(self, project: int) -> None:
        """Label all tasks of a project, one after the other."""
        self.page.goto(f"{self.person.access.url}/projects/{project}/data?labeling=1")
        self.wait()

    def open(self, project: int, task: int) -> None:
        """One task out of a project's list, beside the list."""
        self.page.goto(f"{self.person.access.url}/projects/{project}/data?task={task}")
        self.wait()

    def wait(self) -> None:
        """Until both photographs are drawn and one can choose."""
        self.page.locator(".expertad-decision label").first.wait_for()
        self.page.locator(".expertad-reference canvas").last.wait_for()
        self.page.locator(".expertad-query canvas").last.wait_for()

    @property
    def task(self) -> int:
        """The number of the task on the screen."""
        return int(self.page.evaluate(TASK))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def then_next(self, act: Callable[[], None]) -> None:
        """Do what ends a task in the stream, and wait for the one that comes then."""
        ended = self.task
        act()
        self.page.wait_for_function(f"ended => ![ended, null].includes({TASK})", arg=ended)
        self.wait()

    def refused(self, why: str) -> None:
        """Submit in vain, and close the message that says why."""
        self.press("Control+Enter")
        self.page.get_by_text(why).wait_for()
        # By mouse: a key pressed before the message has the focus does not reach it.
        self.page.locator(".ant-modal-confirm button").click()
        self.page.get_by_text(why).wait_for(state="hidden")

    def chosen(self) -> set[str]:
        return {box.get_attribute("name") or "" for box in self.page.locator(".expertad input:checked").all()}

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def disturb(self, box: Mapping[str, float]) -> None:
        """Do by accident what moves, deletes or draws boxes elsewhere in Label Studio."""
        picture = self.page.locator(".expertad-query .konvajs-content").bounding_box()
        assert picture is not None
        x = picture["x"] + picture["width"] * (box["x"] + box["width"] / 2) / 100
        y = picture["y"] + picture["height"] * (box["y"] + box["height"] / 2) / 100
        mouse = self.page.mouse
        mouse.click(x, y)
        for key in ("Backspace", "Delete", "Enter", "h", "r"):
            self.press(key)
            for start in ((x, y), (picture["x"] + 20, picture["y"] + 20)):
                mouse.move(*start)
                mouse.down()
                mouse.move(start[0] + 40, start[1] + 30, steps=3)
                mouse.up()
        self.press("Escape")

    def look(self, name: str, *more: str, whole: bool = True) -> None:
        """Keep a picture of the screen at both sizes, and see that all one needs is in view.

        Args:
            name: of the pictures.
            more: what is needed besides what always is.
            whole: whether no text needs scrolling either, in the larger of the two.
        """
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.wait_for_function("!document.querySelector('[class*=toast__action]')")  # "saved", over the buttons
        for size in (SMALL, WIDE):
            self.page.set_viewport_size(size)
            self.page.wait_for_timeout(500)  # for the photographs to be drawn again
            self.page.screenshot(path=ARTIFACTS / f"{name}-{size['width']}x{size['height']}.png")
            hidden = [what for selector in (*ALWAYS, *more) for what in _out_of_view(self.page, selector)]
            assert hidden == [], f"not in view at {size['width']} x {size['height']}"
        if whole:
            scrolled = [pane for pane in ("hints", "description", "reasoning", "panel") if _scrolls(self.page, pane)]
            assert scrolled == [], "must be scrolled at 1600 x 900"


@contextmanager
def seated(browser: Browser, person: Person) -> Iterator[Desk]:
    """Somebody who logs in through the login page; where it ends badly, a picture of the screen is kept."""
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.set_default_timeout(SEEN_MS)
    desk = Desk(person, page)
    page.on("dialog", desk.dismiss)
    page.on("request", lambda request: desk.asked_for.append(request.url))
    try:
        page.goto(f"{person.access.url}/user/login/")
        page.locator("input[name=email]").focus()
        page.keyboard.type(person.email)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_function("location.pathname != '/user/login/'")
        yield desk
    except BaseException:
        ARTIFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTIFACTS / f"failed-{person.email}.png")
        raise
    finally:
        context.close()


def _out_of_view(page: Page, selector: str) -> list[str]:
    """Which of these elements are not wholly inside the window, or lie under something else; or that there is none."""
    found = page.locator(selector)
    if found.count() == 0:
        return [f"{selector}: not there"]
    return [f"{selector}: {why}" for element in found.all() if (why := element.evaluate(WHY_HIDDEN))]


WHY_HIDDEN = """element => {
  const box = element.getBoundingClientRect();
  const where = [box.left, box.top, box.right, box.bottom].map(Math.round).join(' ');
  if (box.width < 4 || box.height < 4) return `no size (${element.textContent})`;
  if (box.left < 0 || box.top < 0 || box.right > innerWidth || box.bottom > innerHeight) return `outside: ${where}`;
  for (const [x, y] of [[.5, .5], [.05, .1], [.95, .9]]) {
    const top = document.elementFromPoint(box.left + box.width * x, box.top + box.height * y);
    const kin = top && (element.contains(top) || top.contains(element));
    if (!kin) return `covered at ${where} by ${top && top.className}`;
  }
  return null;
}"""


def _scrolls(page: Page, pane: str) -> bool:
    return page.locator(f".expertad-{pane}").evaluate("pane => pane.scrollHeight > pane.clientHeight + 1")


@dataclass(frozen=True)
class Workspace:
    """A workspace on the shell, whose drafts are judged on the server."""

    folder: Path
    source: Path
    reviewer: Person

    def build(self, review: str) -> None:
        self.run("build", "--source", "real-iad", "--root", self.source, "--limit", 12, "--review", review)

    def run(self, *words: object) -> dict[str, Any]:
        """What a command's last line says."""
        done = subprocess.run(
            command(*words, "--workspace", self.folder, "--json"), cwd=self.folder.parent, env=environment(),
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    def push(self, *how: object) -> int:
        """Build as far as people are needed, push, and say in which project the drafts are."""
        self.build("file")
        (pushed,) = self.run("review", "push", *how)["projects"]
        assert pushed["wanted"] == pushed["added"] == 12
        return int(pushed["project"])

    def task(self, number: int) -> dict[str, Any]:
        """A task with what is known of it on the server."""
        return self.reviewer.ask("GET", f"/api/tasks/{number}/")

    def data(self, task: int) -> dict[str, Any]:
        """What the screen shows of a task."""
        return self.task(task)["data"]

    @property
    def published(self) -> dict[str, dict[str, Any]]:
        tables = [path for part in ("pa_sft", "sc_grpo") for path in (self.folder / "dataset" / part).glob("*.parquet")]
        return {row["id"]: row for path in tables for row in pq.read_table(path).to_pylist()}

    def state(self, sample_id: str) -> tuple[str, str]:
        """A sample's state, and why."""
        told = self.run("status", "--sample", sample_id)
        return told["state"], told["reason"]


def mended(location: str, fine_type: str) -> str:
    """Reasoning that somebody might write who sees another place and type."""
    return (
        f"I go over the whole view area by area and stop at a small mark in the {location} part of the image. In "
        "appearance it stands out from the surface around it, and its border is sharp. Measured against the standard "
        f"of an even, closed surface, nothing of this kind belongs there. So this is a defect, a {fine_type}, and it "
        "impairs first how the part looks and then perhaps how it works."
    )


def accept(anna: Desk, workspace: Workspace) -> list[dict[str, Any]]:
    """Accept with the keyboard alone until, after one at least, a defect comes; what was accepted."""
    accepted = []
    while not accepted or not workspace.data(anna.task)["location"]:
        accepted.append(workspace.data(anna.task))
        anna.press("1")
        if len(accepted) == 1:
            anna.look("accept", "button:has-text('Skip')")
        anna.then_next(lambda: anna.press("Control+Enter"))
    return accepted


def boxes(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The boxes among the results of a prediction or an annotation."""
    return [item["value"] for item in results["result"] if item["from_name"] == "box"]


def edit(anna: Desk, task: Mapping[str, Any]) -> tuple[str, str, str]:
    """Edit place, type and text. Typed letters land in the text while one is in it, and choose again afterwards."""
    shown = task["data"]
    anna.disturb(boxes(task["predictions"][0])[0])
    place = next(name for name in reversed(cell_names(3)) if name != shown["location"])
    kind = next(term["value"] for term in shown["fine_types"] if term["value"] != shown["fine_type"])
    think = mended(place, kind)
    anna.press("2")
    anna.page.locator(".expertad-types label", has_text=kind).click()
    text = anna.page.locator(".expertad-edit textarea")
    assert text.input_value() == shown["think"]
    anna.look("edit", ".expertad-cells label", ".expertad-types label", ".expertad-edit textarea")
    text.fill("")
    anna.page.keyboard.type(think[:42])
    anna.press("Shift+Enter", "qweasdzxc"[cell_names(3).index(place)])
    assert anna.chosen() == {"edit", place, kind}
    anna.page.locator(".expertad-edit").click()
    anna.page.keyboard.type(think[42:])
    anna.press("Shift+Enter", "2")
    anna.refused("Choose accept [1], edit [2] or reject [3]")
    anna.press("2")
    assert anna.chosen() == {"edit", place, kind}
    anna.then_next(lambda: anna.page.locator("button", has_text="Submit").click())
    return place, kind, think


def reject(anna: Desk) -> None:
    """Reject with reasons; without one, it is not taken."""
    anna.press("3")
    anna.refused("needs at least one reason")
    anna.press("4", "7")
    anna.look("reject", ".expertad-reasons label", "button:has-text('Skip')")
    anna.page.locator(".expertad-note textarea").fill("the mark is glare")
    anna.then_next(lambda: anna.page.locator("button", has_text="Submit").click())


def test_what_people_decide_in_the_browser_is_what_is_published(chromium: Browser, access: Access, bsdata: Path):
    assert access.document_root is not None
    folder = access.document_root.parent.parent
    drawn = Workspace(folder, folder.with_name("source"), builder(access))
    photographed = Workspace(folder.with_name("photographed"), bsdata, drawn.reviewer)
    draw(drawn.source, parts=4, seed=0, size=512)
    token = folder.with_name("token")
    token.write_text(access.token)
    parts = drawn.push()
    screws = photographed.push("--url", access.url, "--token-file", token, "--images", "upload")

    with seated(chromium, join(access, ANNA)) as anna:
        anna.start(parts)
        accepted = accept(anna, drawn)
        edited = drawn.task(anna.task)
        shown = edited["data"]
        place, kind, think = edit(anna, edited)
        anna.start(screws)
        skipped = photographed.data(anna.task)
        anna.press("3")
        anna.then_next(lambda: anna.press("Control+Space"))
        rejected = photographed.data(anna.task)
        reject(anna)
        assert anna.popped_up == []
        assert anna.asked_others == []
    (annotation,) = drawn.task(edited["id"])["annotations"]
    assert boxes(annotation) == boxes(edited["predictions"][0]) != []

    for workspace, decided, skips in ((drawn, len(accepted) + 1, 0), (photographed, 1, 1)):
        pulled = workspace.run("review", "pull")
        assert (pulled["added"], pulled["skipped"], pulled["refused"]) == (decided, skips, [])
        workspace.build("label-studio")

    rows = drawn.published
    assert set(rows) == {shown["sample_id"], *(one["sample_id"] for one in accepted)}
    for one in accepted:
        row = rows[one["sample_id"]]
        assert (row["location"] or "", row["fine_type"] or "") == (one["location"], one["fine_type"])
        assert one["think"] in told(row)
    row = rows[shown["sample_id"]]
    assert (row["location"], row["fine_type"]) == (place, kind)
    assert think in told(row)
    assert shown["think"] not in told(row)
    assert {row["reviewed"] for row in rows.values()} == {"human"}
    assert photographed.published == {}
    reasons = "a person rejected it: low_quality, wrong_location"
    assert photographed.state(rejected["sample_id"]) == ("rejected", reasons)
    assert photographed.state(skipped["sample_id"])[0] == "pending"
    published = b"".join(path.read_bytes() for path in (drawn.folder / "dataset").rglob("*") if path.is_file())
    assert ANNA.encode() not in published


def told(row: Mapping[str, Any]) -> str:
    """Every text of a published row."""
    return json.dumps(row, ensure_ascii=False)


MARKUP = (
    "<img src=/evil.png onerror=alert(2)> <script>alert(3)</script> <style>.expertad{display:none}</style> <b>bold</b> "
    "&lt;i&gt; {{7*7}} {{constructor.constructor('alert(1)')()}} [here](javascript:alert(4)) javascript:alert(5)"
)
EVIL = f"$query_image $think ${{think}} {MARKUP} %s %(think)s %24think http://evil.invalid/x.png s3://evil/x.png"
"""Whatever a teacher may write, to be read and nothing else."""


def picture(height: int, width: int) -> str:
    made, png = cv2.imencode(".png", np.full((height, width, 3), (90, 120, 90), np.uint8))
    assert made
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()


def task_of(text: str, *, size: tuple[int, int] = (200, 200), **more: object) -> dict[str, Any]:
    """A task whose every text is this one; its photographs' size is (height, width)."""
    names = ("sample_id", "coarse_type", "location", "question", "answer", "description", "think", "fine_type", "hints")
    images = dict.fromkeys(("reference_image", "query_image"), picture(*size))
    return dict.fromkeys(names, text) | images | {"revision": "0" * 32, "fine_types": []} | more


def project_of(reviewer: Person, *tasks: Mapping[str, Any]) -> tuple[int, list[int]]:
    """A project with the review screen and these tasks."""
    made = reviewer.ask("POST", "/api/projects/", json={"title": "tried", "label_config": screen()})
    reviewer.ask("POST", f"/api/projects/{made['id']}/import", json=[{"data": task} for task in tasks])
    listed = reviewer.ask("GET", f"/api/tasks/?project={made['id']}&page_size=100")["tasks"]
    return made["id"], sorted(task["id"] for task in listed)


def test_whatever_a_teacher_writes_is_shown_as_it_is_and_does_nothing(chromium: Browser, access: Access):
    reviewer = builder(access)
    project, (task,) = project_of(reviewer, task_of(EVIL, fine_types=[{"value": MARKUP}]))
    with seated(chromium, join(access, "ben@example.org")) as ben:
        ben.page.goto(f"{access.url}/projects/{project}/data")
        ben.page.get_by_text("{{7*7}}").first.wait_for()
        ben.open(project, task)
        shown = {
            name: ben.text(f".expertad-{name} .lsf-richtext") for name in ("hints", "description", "reasoning")
        } | {
            f"fact {n}": fact.inner_text()
            for n, fact in enumerate(ben.page.locator(".expertad-fact .lsf-richtext").all())
        }
        assert len(shown) == 9
        assert shown == dict.fromkeys(shown, EVIL)

        ben.press("2")
        text = ben.page.locator(".expertad-edit textarea")
        assert text.input_value() == EVIL
        assert ben.page.locator(".expertad-types label").inner_text().startswith(MARKUP)
        ben.page.locator(".expertad-types label").click()
        text.fill(f"{EVIL} Mended.")
        ben.press("Shift+Enter")
        assert ben.text(".expertad-edit") == f"{EVIL} Mended."
        ben.page.locator("button", has_text="Submit").click()
        ben.page.locator("button", has_text="Update").wait_for()

    (annotation,) = reviewer.ask("GET", f"/api/tasks/{task}/")["annotations"]
    given = {item["from_name"]: item["value"] for item in annotation["result"]}
    assert given == {
        "decision": {"choices": ["edit"]},
        "corrected_type": {"choices": [MARKUP]},
        "corrected_think": {"text": [f"{EVIL} Mended."]},
    }
    assert ben.popped_up == []
    assert [url for url in ben.asked_for if "evil" in url] == []
    assert ben.asked_others == []


LONG = ("The finish of this part goes on evenly, and nothing on it stands out from what lies around. " * 20)[:1500]


def test_long_texts_and_odd_pictures_leave_everything_in_view(chromium: Browser, access: Access):
    terms = [{"value": term} for term in FINE_TERMS["Presence of foreign objects"]]
    long = {
        "sample_id": "a_category_with_a_name_that_somebody_made_far_too_long/test/scratch_head/000_and_more_of_it",
        "coarse_type": "Presence of foreign objects", "location": "bottom right", "answer": "Yes",
        "question": "Are there any defects in the query image?", "fine_type": "foreign object", "fine_types": terms,
    }  # fmt: skip
    project, tasks = project_of(
        builder(access), task_of(LONG, size=(900, 200), **long), task_of(LONG, size=(200, 900), **long)
    )
    with seated(chromium, join(access, "carla@example.org")) as carla:
        for name, task in zip(("tall", "wide"), tasks, strict=True):
            carla.open(project, task)
            carla.press("2")
            carla.look(f"{name}-edit", ".expertad-cells label", ".expertad-types label", whole=False)
            carla.press("3")
            carla.look(f"{name}-reject", ".expertad-reasons label", whole=False)


def test_a_normal_sample_is_offered_neither_location_nor_type(chromium: Browser, access: Access):
    normal = dict.fromkeys(("coarse_type", "location", "fine_type"), "") | {"answer": "No"}
    project, (task,) = project_of(builder(access), task_of("Nothing stands out.", **normal))
    with seated(chromium, join(access, "dora@example.org")) as dora:
        dora.open(project, task)
        dora.press("2")
        dora.page.locator(".expertad-edit textarea").wait_for()
        assert dora.text(".expertad-facts").split("\n") == ["Nothing stands out."] * 2 + ["Answer", "No"]
        assert not dora.page.locator(".expertad-truth").first.is_visible()
        assert not dora.page.locator(".expertad-truth").last.is_visible()
        # A key pressed by accident is seen, and can be taken back.
        dora.press("w")
        assert dora.chosen() == {"edit", "top"}
        assert dora.page.get_by_text("A normal sample has no location").is_visible()
        dora.press("w")
        assert dora.chosen() == {"edit"}
        assert not dora.page.locator(".expertad-truth").first.is_visible()
