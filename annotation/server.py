"""Label Studio as push, pull and status see it: few verbs, plain values, and errors that say what to do.

Requests go through label-studio-sdk over the transport of `annotation.wire`. Nothing the server answers is put into an
error but its status and its own words: the SDK's errors carry headers, cookies among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from label_studio_sdk.client import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from annotation.wire import PatientTransport
from expertad.errors import ReviewError

PAGE = 500
"""Tasks a page of a listing; the server refuses much more."""

TIMEOUT_S = 120.0
"""An import of 500 tasks takes under a second on an idle server, and a hundred times that while 200 people annotate."""

ONCE: Any = {"max_retries": 0}


class Unreachable(ReviewError):
    """The server did not answer, or answered that it is ill; the same command may succeed later."""


class Failed(Unreachable):
    """The server answered 500, again and again: it may be ill, or cannot cope with what was asked."""


class Gone(ReviewError):
    """What was asked for is not on the server."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project as the server lists it.

    Args:
        id: the server's number.
        title: what people see.
        description: holds the mark by which push finds its projects again.
        screen: the labelling configuration.
        overlap: how many people judge a task.
        shown_model: whose predictions are shown.
        tasks: how many there are.
        finished: how many of them have all the judgements asked for.
        judged: how many judgements there are, without skips.
        skipped: how many skips.
    """

    id: int
    title: str
    description: str
    screen: str
    overlap: int
    shown_model: str
    tasks: int
    finished: int
    judged: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the server lists it.

    Args:
        id: the server's number.
        data: what was pushed.
        annotations: how many decided.
        skipped: how many skipped it.
    """

    id: int
    data: Mapping[str, Any]
    annotations: int
    skipped: int

    @property
    def key(self) -> tuple[str, str, int]:
        """Sample, revision and attempt, as `annotation.tasks.Candidate` has them."""
        attempt = self.data.get("attempt")
        return (
            str(self.data.get("sample_id")),
            str(self.data.get("revision")),
            attempt if isinstance(attempt, int) else 0,
        )


class Server:
    """A Label Studio server, asked as one of its users.

    Args:
        url: where it is.
        token: a personal access token (or a legacy one, where the server allows those).
        transport: who sends; over the network when None.
    """

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            transport=PatientTransport(transport or httpx.HTTPTransport()), timeout=TIMEOUT_S, follow_redirects=True
        )
        self._sdk: LabelStudio | None = None
        self._token = token

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sdk(self) -> LabelStudio:
        """The SDK's client; made at first use, because it looks at the token at once."""
        if self._sdk is None:
            self._sdk = LabelStudio(base_url=self.url, api_key=self._token, httpx_client=self._http, max_retries=0)
        return self._sdk

    def address(self, project: int, task: int) -> str:
        """Where a person opens a task."""
        return f"{self.url}/projects/{project}/data?task={task}"

    def whoami(self) -> str:
        """E-mail of the account that the token belongs to; proves that address and token are right."""
        with self._said("asking who I am"):
            return str(self.sdk.users.whoami().email)

    def people(self) -> dict[int, str]:
        """E-mails of everybody with an account, by number."""
        with self._said("listing the people"):
            return {int(user.id or 0): str(user.email) for user in self.sdk.users.list()}

    # -- projects

    def projects(self) -> list[Project]:
        """Every project that the account sees, oldest first."""
        with self._said("listing the projects"):
            found = [
                Project(
                    int(item.id or 0),
                    item.title or "",
                    item.description or "",
                    item.label_config or "",
                    item.maximum_annotations or 1,
                    item.model_version or "",
                    item.task_number or 0,
                    item.finished_task_number or 0,
                    item.useful_annotation_number or 0,
                    item.skipped_annotations_number or 0,
                )
                for item in self.sdk.projects.list(page_size=100)
            ]
        return sorted(found, key=lambda project: project.id)

    def make_project(self, title: str, description: str, screen: str, overlap: int, guide: str) -> int:
        """Make a project, once; a lost answer leaves one that `projects` finds."""
        with self._said(f"making the project {title!r}"):
            made = self.sdk.projects.create(
                title=title,
                description=description,
                label_config=screen,
                maximum_annotations=overlap,
                expert_instruction=guide,
                enable_empty_annotation=False,
                show_collab_predictions=True,
                request_options=ONCE,
            )
        return int(made.id or 0)

    def update_project(self, project: int, **values: Any) -> None:
        """Change settings of a project."""
        with self._said(f"changing the project {project}"):
            self.sdk.projects.update(project, **values)

    def delete_project(self, project: int) -> None:
        """Delete a project that nobody has used."""
        try:
            with self._said(f"deleting the project {project}"):
                self.sdk.projects.delete(project)
        except Gone:
            pass

    # -- tasks

    def tasks(self, project: int) -> list[Task]:
        """Every task of a project, by number.

        A listing is read in pages while others may import and delete, so a task can come twice: it counts once.
        """
        include = "id,data,total_annotations,cancelled_annotations"
        found: dict[int, Task] = {}
        with self._said(f"listing the tasks of project {project}"):
            for item in self.sdk.tasks.list(project=project, fields="task_only", include=include, page_size=PAGE):
                number = int(item.id or 0)
                found[number] = Task(
                    number, item.data or {}, item.total_annotations or 0, item.cancelled_annotations or 0
                )
        return [found[number] for number in sorted(found)]

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Import tasks, once. After an error nobody knows whether they arrived: list before sending again."""
        with self._said(f"importing {len(tasks)} tasks into project {project}"):
            self.sdk.projects.import_tasks(project, request=list(tasks), request_options=ONCE)

    def delete_tasks(self, project: int, numbers: Sequence[int]) -> None:
        """Delete tasks by number; those that are gone already are no error."""
        with self._said(f"deleting tasks of project {project}"):
            self.sdk.actions.create(
                project=project,
                id="delete_tasks",
                selected_items={"all": False, "included": list(numbers)},
            )

    def export(self, project: int, tasks: Sequence[int] = ()) -> list[dict[str, Any]]:
        """Tasks on which somebody decided or which somebody skipped, with data and annotations.

        Args:
            project: the server's number.
            tasks: numbers of those wanted, few enough for an address; none for all.

        Raises:
            Failed: the server cannot write them out; one value of one annotation is enough for that.
        """
        # The SDK spells the list of numbers in a way that the server does not read.
        wanted: Any = {"additional_query_parameters": {"ids[]": [str(number) for number in tasks]}} if tasks else None
        with self._said(f"exporting project {project}"):
            body = b"".join(
                self.sdk.projects.exports.download_sync(project, export_type="JSON", request_options=wanted)
            )
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Unreachable(f"{self.url} sent an export of project {project} that is cut; run again") from None
        if not isinstance(found, list):
            raise ReviewError(f"{self.url} sent an export of project {project} that is no list of tasks")
        return found

    # -- images

    def serve_folder(self, project: int, folder: str) -> None:
        """Let a project show the files of a folder on the server's disk; nothing is imported from it."""
        with self._said(f"giving project {project} the folder {folder}"):
            if any(storage.path == folder for storage in self.sdk.import_storage.local.list(project=project)):
                return
            self.sdk.import_storage.local.create(
                project=project, path=folder, title="images", use_blob_urls=True, request_options=ONCE
            )

    def uploads(self, project: int) -> dict[str, str]:
        """Paths of a project's uploaded files by the name they were sent under, without its ending."""
        with self._said(f"listing the files of project {project}"):
            paths = [str(item.file) for item in self.sdk.files.list(project, all_=True)]
        return {path.rsplit("/", 1)[-1].split("-", 1)[-1].split(".")[0]: path for path in paths}

    def upload(self, project: int, files: Sequence[tuple[str, bytes, str]]) -> None:
        """Send files, each as name, bytes and media type, without making tasks of them."""
        with self._said(f"sending {len(files)} files to project {project}"):
            self._http.post(
                f"{self.url}/api/projects/{project}/import",
                params={"commit_to_project": "false"},
                files=[(name, (name, data, kind)) for name, data, kind in files],
                # The SDK has no call for this; its wrapper keeps the short-lived access token.
                headers={"Authorization": self.sdk._client_wrapper.get_headers()["Authorization"]},
            ).raise_for_status()

    # -- inside

    @contextmanager
    def _said(self, doing: str) -> Iterator[None]:
        """Turn what the SDK and the wire raise into errors of ours, without headers, cookies or the token."""
        try:
            yield
        except ApiError as error:
            raise self._error(doing, error.status_code or 0, error.body) from None
        except httpx.HTTPStatusError as error:
            raise self._error(doing, error.response.status_code, error.response.text) from None
        except httpx.TransportError as error:
            raise Unreachable(
                f"{self.url} could not be reached while {doing} ({type(error).__name__}); start it with "
                "`expertad review serve`, or name another with --url"
            ) from None
        except ValueError:
            raise Unreachable(f"{self.url} gave an answer that cannot be read while {doing}; run again") from None

    def _error(self, doing: str, status: int, body: object) -> ReviewError:
        if status in (401, 403):
            return ReviewError(
                f"{self.url} refused the token while {doing} (status {status}); make a new one in Label Studio under "
                "Account & Settings, and put it into LABEL_STUDIO_API_KEY or --token-file"
            )
        if status == 404:
            return Gone(f"{self.url} has nothing there while {doing} (status 404); is it a Label Studio server?")
        text = f"{self.url} answered status {status} while {doing}"
        if status == 500:
            return Failed(f"{text}; run again, and if that does not help, see its log")
        if status >= 500 or status in (408, 409, 429):
            return Unreachable(f"{text}; run again")
        return ReviewError(f"{text}: {_words(body)}")


def _words(body: object) -> str:
    """The server's own words about what it refused, short."""
    if isinstance(body, Mapping):
        body = body.get("validation_errors") or body.get("detail") or ""
    return " ".join(str(body).split())[:300] or "it gave no reason"
