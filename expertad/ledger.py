"""The ledger: everything a build knows, in one database that survives any crash.

SQLite in WAL mode by default, PostgreSQL by URL when several machines build. Rows are keyed by content, never by
position. A teacher's reply is committed before anything else is done with it; verdicts are only ever appended. The
accounting (`Accounting`) is derived, and refuses to be printed when it does not add up.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cache
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from sys import intern
from typing import Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite

from expertad.errors import DiskFull, WorkspaceError
from expertad.sample import Region, Sample
from expertad.teachers.base import Call
from expertad.verdict import Verdict

SCHEMA_VERSION = 2
ROWS_AT_ONCE = 1_000

State = Literal["published", "rejected", "quarantined", "pending", "unselected", "unusable"]
SELECTED_STATES: tuple[State, ...] = ("published", "rejected", "quarantined", "pending")

_metadata = sa.MetaData()


def _columns_of(cls: type, keys: Sequence[str] = ()) -> list[sa.Column[Any]]:
    """One column for each field of a flat dataclass, typed by its annotation."""
    kinds: dict[str, type[sa.types.TypeEngine[Any]]] = {"int": sa.BigInteger, "float": sa.Float, "bool": sa.Boolean}
    made = []
    for item in fields(cls):
        name = str(item.type).replace(" | None", "")
        made.append(sa.Column(item.name, kinds.get(name, sa.Text), primary_key=item.name in keys))
    return made


_meta = sa.Table("meta", _metadata, sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text))
_categories = sa.Table(
    "categories",
    _metadata,
    sa.Column("category", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("problem", sa.Text),
    sa.Column("notes", sa.Text, nullable=False),
)
_samples = sa.Table(
    "samples",
    _metadata,
    *_columns_of(Sample, keys=("sample_id",)),
    sa.Column("problem", sa.Text),
    sa.Column("state", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("partition", sa.Text),
    sa.Index("samples_category", "category"),
)
_files = sa.Table(
    "files",
    _metadata,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger),
    sa.Column("mtime_ns", sa.BigInteger),
    sa.Column("sha256", sa.Text),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("problem", sa.Text),
)
_regions = sa.Table(
    "regions",
    _metadata,
    sa.Column("mask_sha256", sa.Text, primary_key=True),
    sa.Column("image_size", sa.Text, primary_key=True),
    sa.Column("grid", sa.Integer, primary_key=True),
    sa.Column("region", sa.Text),
    sa.Column("problem", sa.Text),
)
_calls = sa.Table(
    "calls",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    *_columns_of(Call),
    sa.Column("released", sa.Boolean, nullable=False, default=False),
    sa.Index("calls_key", "key"),
    sa.Index("calls_sample", "sample_id"),
)
_drafts = sa.Table(
    "drafts",
    _metadata,
    sa.Column("describe_key", sa.Text, primary_key=True),
    sa.Column("distill_key", sa.Text, primary_key=True),
    sa.Column("sample_id", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("think", sa.Text, nullable=False),
    sa.Column("fine_type", sa.Text),
    sa.Column("provenance", sa.Text, nullable=False),
    sa.Column("checks_version", sa.Text, nullable=False),
    sa.Column("findings", sa.Text, nullable=False),
)
_verdicts = sa.Table(
    "verdicts",
    _metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    *_columns_of(Verdict),
)
_shown = sa.Table(
    "shown",
    _metadata,
    sa.Column("revision", sa.Text, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class FileRow:
    """What is known of one file: its identity on disk, and its content's digest or what is wrong with it."""

    path: str
    size: int
    mtime_ns: int
    sha256: str | None
    width: int | None
    height: int | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class RegionRow:
    """A mask's region at one grid, or what is wrong with the mask for an image of that size."""

    mask_sha256: str
    image_size: str
    grid: int
    region: Region | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A draft as written by two calls, and what the checks of one version found in it."""

    describe_key: str
    distill_key: str
    sample_id: str
    description: str
    think: str
    fine_type: str | None
    provenance: tuple[tuple[str, str], ...]
    checks_version: str
    findings: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one sample stands: its one state, the reason, and the partition it belongs to."""

    state: State
    reason: str
    partition: str | None


def shared_reason(reason: str) -> str:
    """The part of a reason that many samples have in common: what stands before the first colon or bracket."""
    return reason.split(":")[0].split(" (")[0]


@dataclass(frozen=True, slots=True)
class Accounting:
    """Every ingested sample, counted once by state.

    ingested = selected + unselected + unusable; selected = published + rejected + quarantined + pending.
    """

    ingested: int
    selected: int
    unselected: int
    unusable: int
    published: int
    rejected: int
    quarantined: int
    pending: int

    def check(self) -> None:
        """Refuse numbers that do not add up.

        Raises:
            WorkspaceError: a sample is in no state or in two.
        """
        if (
            self.ingested != self.selected + self.unselected + self.unusable
            or self.selected != self.published + self.rejected + self.quarantined + self.pending
        ):
            raise WorkspaceError(f"the accounting does not add up: {asdict(self)}; please report this as a bug")


Migration = Callable[[sa.Connection], None]


def _know_roles(connection: sa.Connection) -> None:
    """Version 2: what a verdict is for, and what its giver was shown."""
    if "role" not in {column["name"] for column in sa.inspect(connection).get_columns(_verdicts.name)}:
        connection.exec_driver_sql("ALTER TABLE verdicts ADD COLUMN role TEXT NOT NULL DEFAULT 'review'")
    _shown.create(connection, checkfirst=True)


MIGRATIONS: Mapping[int, Migration] = {1: _know_roles}
"""From version n to n + 1, by n."""


def sqlite_url(workspace: Path) -> str:
    """The default ledger of a workspace."""
    return f"sqlite:///{workspace / 'ledger.sqlite3'}"


class Ledger:
    """One open ledger; safe to use from several threads.

    Args:
        url: SQLAlchemy URL, `sqlite:///…` or `postgresql+psycopg://…`.
        migrations: how to bring an older ledger up to date.
        version: schema version this code writes.
        create: make the tables where there are none; only who holds the workspace may.

    Raises:
        WorkspaceError: the ledger cannot be opened, is damaged, or was written by a newer expertad.
    """

    def __init__(
        self,
        url: str,
        migrations: Mapping[int, Migration] = MIGRATIONS,
        version: int = SCHEMA_VERSION,
        *,
        create: bool = True,
    ) -> None:
        parsed = sa.make_url(url)
        self.url = parsed.render_as_string(hide_password=True)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        try:
            if self._is_sqlite:
                Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True)
                self._engine = sa.create_engine(parsed)
                event.listen(self._engine, "connect", _tune_to_build if create else _tune_to_look)
            else:
                self._engine = sa.create_engine(parsed, pool_pre_ping=True)
            with _database_errors(self.url):
                self._prepare(migrations, version, create)
        except OSError as error:
            raise WorkspaceError(f"cannot open the ledger {self.url}: {error}") from error
        except ImportError as error:
            raise WorkspaceError(
                f"the ledger {self.url} needs a database driver that is not installed ({error.name}); "
                "install expertad[postgresql]"
            ) from error

    def _prepare(self, migrations: Mapping[int, Migration], version: int, create: bool) -> None:
        with self._engine.begin() as connection:
            known = self._version(connection) if sa.inspect(connection).has_table("meta") else None
            if known is None:
                # SQLite commits each table by itself: a builder killed among them leaves some, and no version, which is
                # written last.
                if not create:
                    raise WorkspaceError(f"the ledger {self.url} is only being made; look again in a moment")
                _metadata.create_all(connection)
                connection.execute(_meta.insert(), [{"key": "schema_version", "value": str(version)}])
                return
            found = known
        if found > version:
            raise WorkspaceError(
                f"the ledger {self.url} has schema version {found}, written by a newer expertad; this one knows "
                f"version {version}: upgrade expertad, or build into another workspace"
            )
        if found < version:
            for step in range(found, version):
                with self._engine.begin() as connection:
                    # Whole or not at all, by one of those who open the ledger at once.
                    alone = "BEGIN IMMEDIATE" if self._is_sqlite else "LOCK TABLE meta IN ACCESS EXCLUSIVE MODE"
                    connection.exec_driver_sql(alone)
                    if self._version(connection) == step:
                        if step == found:
                            self._back_up(found)
                        migrations[step](connection)
                        connection.execute(_meta.update().filter_by(key="schema_version").values(value=str(step + 1)))

    @staticmethod
    def _version(connection: sa.Connection) -> int | None:
        text = connection.execute(sa.select(_meta.c.value).filter_by(key="schema_version")).scalar_one_or_none()
        return None if text is None else int(text)

    def _back_up(self, found: int) -> None:
        database = self._engine.url.database
        if not self._is_sqlite or database is None:
            return  # a server's administrator owns its backups
        copy = Path(f"{database}.v{found}.bak")
        if copy.exists():
            return
        partial = copy.with_suffix(".part")
        partial.unlink(missing_ok=True)
        with sqlite3.connect(database) as source, sqlite3.connect(partial) as target:
            source.backup(target)
        os.replace(partial, copy)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with _database_errors(self.url), self._engine.begin() as connection:
            yield connection

    # -- settings remembered between runs

    def remember(self, key: str, value: str) -> None:
        """Store one small value under a name."""
        with self._begin() as connection:
            self._upsert(connection, _meta, [{"key": key, "value": value}])

    def recall(self, key: str) -> str | None:
        """The value stored under a name, or None."""
        with self._begin() as connection:
            return connection.execute(sa.select(_meta.c.value).filter_by(key=key)).scalar_one_or_none()

    # -- source

    def categories(self) -> dict[str, tuple[str, str | None, list[str]]]:
        """Per category: fingerprint, why it could not be read (or None), notes."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(_categories)).all()
        return {row.category: (row.fingerprint, row.problem, orjson.loads(row.notes)) for row in rows}

    def replace_category(
        self,
        category: str,
        fingerprint: str,
        samples: Sequence[Sample],
        unusable: Iterable[tuple[str, str]],
        *,
        problem: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """Make the ledger's samples of a category exactly these, in one transaction.

        Args:
            category: its name.
            fingerprint: of the files this was read from.
            samples: usable entries.
            unusable: (id, reason) of entries that cannot be used.
            problem: why the whole category could not be read.
            notes: what a builder should know.
        """
        columns = [item.name for item in fields(Sample)]
        usable: list[tuple[Any, ...]] = list(map(attrgetter(*columns), samples))
        others: list[tuple[Any, ...]] = [
            (name, category, name, "", "", "", None, "", None, reason) for name, reason in unusable
        ]
        with self._begin() as connection:
            connection.execute(_samples.delete().filter_by(category=category))
            self._insert_fast(connection, _samples, columns, usable)
            self._insert_fast(connection, _samples, [*columns, "problem"], others)
            self._upsert(
                connection,
                _categories,
                [
                    {
                        "category": category,
                        "fingerprint": fingerprint,
                        "problem": problem,
                        "notes": orjson.dumps(list(notes)).decode(),
                    }
                ],
            )

    def drop_categories(self, names: Iterable[str]) -> None:
        """Forget categories that the source no longer has; their calls and verdicts stay."""
        with self._begin() as connection:
            for name in names:
                connection.execute(_samples.delete().filter_by(category=name))
                connection.execute(_categories.delete().filter_by(category=name))

    def samples(self) -> list[Sample]:
        """All usable samples, by id."""
        names = [item.name for item in fields(Sample)]
        query = sa.select(*[_samples.c[name] for name in names]).where(_samples.c.problem.is_(None))
        return [_sample(*row) for row in self._rows(query.order_by(_samples.c.sample_id))]

    def entry_problems(self) -> dict[str, str]:
        """Ids of entries that cannot be used, with the reason."""
        query = sa.select(_samples.c.sample_id, _samples.c.problem).where(_samples.c.problem.is_not(None))
        with self._begin() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def ingested(self) -> int:
        """How many entries the source has."""
        with self._begin() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(_samples)).scalar_one()

    # -- files and regions

    def files(self) -> dict[str, FileRow]:
        """Everything known about files, by absolute path."""
        return {row[0]: FileRow(*row) for row in self._rows(sa.select(_files))}

    def store_files(self, rows: Sequence[FileRow]) -> None:
        """Insert or replace rows about files."""
        with self._begin() as connection:
            self._upsert(connection, _files, [asdict(row) for row in rows])

    def regions(self, grid: int) -> dict[tuple[str, str], RegionRow]:
        """Regions at one grid, by (mask digest, image size)."""
        rows = self._rows(sa.select(_regions).filter_by(grid=grid))
        return {
            (mask, size): RegionRow(mask, size, at, _region(region), problem)
            for mask, size, at, region, problem in rows
        }

    def store_regions(self, rows: Sequence[RegionRow]) -> None:
        """Insert or replace rows about regions."""
        with self._begin() as connection:
            self._upsert(
                connection,
                _regions,
                [
                    {**_flat(row), "region": None if row.region is None else orjson.dumps(row.region).decode()}
                    for row in rows
                ],
            )

    # -- teacher calls (implements teachers.base.CallLog)

    def settled(self, key: str) -> Call | None:
        """The call that answered this key for good: usable, or quarantined and not released since."""
        query = (
            sa.select(*[_calls.c[item.name] for item in fields(Call)])
            .where(_calls.c.key == key, _calls.c.outcome.in_(("ok", "repaired", "quarantine")))
            .where(_calls.c.released.is_(False))
            .order_by(_calls.c.id.desc())
            .limit(1)
        )
        with self._begin() as connection:
            row = connection.execute(query).first()
        return None if row is None else Call(*row)

    def attempts(self, key: str) -> int:
        """How many calls were made for a key."""
        with self._begin() as connection:
            return connection.execute(
                sa.select(sa.func.count()).select_from(_calls).where(_calls.c.key == key)
            ).scalar_one()

    def commit(self, call: Call) -> None:
        """Write one call; durable when this returns."""
        self.commit_many([call])

    def commit_many(self, calls: Sequence[Call]) -> None:
        """Write several calls in one transaction; durable when this returns."""
        rows = [{**_flat(call), "released": False} for call in calls]
        with self._begin() as connection:
            connection.execute(_calls.insert(), rows)

    def quarantined(self) -> dict[str, tuple[str, str]]:
        """Keys whose last word is a quarantine: key -> (sample id, "code: reason")."""
        held = sa.select(_calls.c.key).where(_calls.c.outcome == "quarantine", _calls.c.released.is_(False))
        query = (
            sa.select(_calls.c.key, _calls.c.sample_id, _calls.c.code, _calls.c.reason, _calls.c.outcome)
            .where(_calls.c.key.in_(held), _calls.c.outcome.in_(("ok", "repaired", "quarantine")))
            .where(_calls.c.released.is_(False))
            .order_by(_calls.c.id)
        )
        last: dict[str, tuple[str, str]] = {}
        with self._begin() as connection:
            for key, sample_id, code, reason, outcome in connection.execute(query):
                if outcome == "quarantine":
                    last[key] = (sample_id, f"{code}: {reason}" if code else reason)
                else:
                    last.pop(key, None)
        return last

    def release(self, sample_ids: Sequence[str] | None = None) -> list[str]:
        """Let quarantined samples be asked again; returns their ids. None means all of them."""
        held = {sample for sample, _ in self.quarantined().values()}
        chosen = sorted(held if sample_ids is None else held & set(sample_ids))
        with self._begin() as connection:
            for sample_id in chosen:
                connection.execute(
                    _calls.update()
                    .where(_calls.c.sample_id == sample_id, _calls.c.outcome == "quarantine")
                    .values(released=True)
                )
        return chosen

    def calls(self, sample_id: str | None = None) -> Iterator[Call]:
        """All calls in the order they were committed, or those about one sample."""
        query = sa.select(*[_calls.c[item.name] for item in fields(Call)]).order_by(_calls.c.id)
        if sample_id is not None:
            query = query.where(_calls.c.sample_id == sample_id)
        with self._begin() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield Call(*row)

    def spent(self) -> dict[tuple[str, str, str], dict[str, float]]:
        """Totals by (model, stage, currency): calls, input_tokens, output_tokens, image_tokens, cost, latency_s."""
        sums = [
            sa.func.sum(_calls.c[name])
            for name in ("input_tokens", "output_tokens", "image_tokens", "cost", "latency_s")
        ]
        query = sa.select(_calls.c.model, _calls.c.stage, _calls.c.currency, sa.func.count(), *sums).group_by(
            _calls.c.model, _calls.c.stage, _calls.c.currency
        )
        with self._begin() as connection:
            rows = connection.execute(query.order_by(_calls.c.model, _calls.c.stage)).all()
        names = ("calls", "input_tokens", "output_tokens", "image_tokens", "cost", "latency_s")
        return {(r[0] or "", r[1], r[2] or ""): dict(zip(names, (x or 0 for x in r[3:]), strict=True)) for r in rows}

    # -- drafts

    def drafts(self) -> dict[str, list[DraftRow]]:
        """All drafts by their describe key."""
        found: dict[str, list[DraftRow]] = {}
        pairs, triples = cache(_tuples), cache(_tuples)  # equal in most rows
        for row in self._rows(sa.select(_drafts)):
            key, second_key, sample_id, description, think, fine_type, provenance, version, findings = row
            found.setdefault(key, []).append(
                DraftRow(
                    key,
                    second_key,
                    sample_id,
                    description,
                    think,
                    fine_type,
                    pairs(provenance),
                    intern(version),
                    triples(findings),
                )
            )
        return found

    def store_drafts(self, rows: Sequence[DraftRow]) -> None:
        """Insert or replace drafts."""
        with self._begin() as connection:
            self._upsert(
                connection,
                _drafts,
                [
                    {
                        **_flat(row),
                        "provenance": orjson.dumps(row.provenance).decode(),
                        "findings": orjson.dumps(row.findings).decode(),
                    }
                    for row in rows
                ],
            )

    # -- verdicts

    def append_verdicts(self, verdicts: Sequence[Verdict]) -> int:
        """Add what is new in a reading of verdicts, which may begin with what was read before; returns how many.

        A dated verdict is added once. Of those without a date, which a person may write, take back and write again, a
        reading adds what lies beyond its longest beginning that the history of the same person and text ends with: the
        same file read again adds nothing, and a file whose line was changed back adds that line again.
        """
        if not verdicts:
            return 0
        history = [verdict for found in self.verdicts().values() for verdict in found]
        new = _not_known(history, verdicts)
        seen = Counter(history)
        with self._begin() as connection:
            number = connection.execute(sa.select(sa.func.coalesce(sa.func.max(_verdicts.c.number), 0))).scalar_one()
            rows: list[dict[str, Any]] = []
            for verdict in new:
                content = orjson.dumps([_flat(verdict), seen[verdict]])
                seen[verdict] += 1
                number += 1
                values = _flat(verdict)
                values["reasons"] = orjson.dumps(values["reasons"]).decode()
                rows.append({"digest": blake2b(content, digest_size=16).hexdigest(), "number": number, **values})
            if rows:
                connection.execute(_verdicts.insert(), rows)
        return len(rows)

    def verdicts(self) -> dict[str, list[Verdict]]:
        """All verdicts by sample id, oldest first."""
        names = [item.name for item in fields(Verdict)]
        query = sa.select(*[_verdicts.c[name] for name in names]).order_by(_verdicts.c.number)
        found: dict[str, list[Verdict]] = {}
        with self._begin() as connection:
            for row in connection.execute(query):
                values = dict(zip(names, row, strict=True))
                values["reasons"] = tuple(orjson.loads(values["reasons"]))
                found.setdefault(values["sample_id"], []).append(Verdict(**values))
        return found

    def annotators(self) -> list[str]:
        """Everybody who gave a verdict that counts, in the order of their first; calibration does not count."""
        query = (
            sa.select(_verdicts.c.annotator)
            .where(_verdicts.c.role != "calibration")
            .group_by(_verdicts.c.annotator)
            .order_by(sa.func.min(_verdicts.c.number))
        )
        with self._begin() as connection:
            return list(connection.execute(query).scalars())

    def store_shown(self, contents: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep what a reviewer is shown, by its revision; what is kept already stays."""
        new = contents.keys() - self._shown_among(contents)
        if not new:
            return
        rows = [{"revision": name, "content": orjson.dumps(contents[name]).decode()} for name in sorted(new)]
        with self._begin() as connection:
            connection.execute(self._insert(_shown).on_conflict_do_nothing(), rows)

    def shown(self, revisions: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
        """What reviewers were shown, by revision: of these revisions as far as it is known, or of all."""
        query = sa.select(_shown)
        if revisions is None:
            return {name: orjson.loads(content) for name, content in self._rows(query)}
        return {
            name: orjson.loads(content)
            for block in _blocks(revisions)
            for name, content in self._rows(query.where(_shown.c.revision.in_(block)))
        }

    def _shown_among(self, revisions: Iterable[str]) -> set[str]:
        query = sa.select(_shown.c.revision)
        return {
            name for block in _blocks(revisions) for (name,) in self._rows(query.where(_shown.c.revision.in_(block)))
        }

    # -- states

    def standings(self) -> dict[str, Standing]:
        """Where each sample stood at the end of the last run."""
        query = sa.select(_samples.c.sample_id, _samples.c.state, _samples.c.reason, _samples.c.partition)
        with self._begin() as connection:
            return {row[0]: Standing(*row[1:]) for row in connection.execute(query) if row[1] is not None}

    def standings_in_order(self) -> Iterator[tuple[str, str | None, Standing | None]]:
        """Every entry by id, in the order of `samples`: why it cannot be used, and where its sample stood."""
        query = sa.select(
            _samples.c.sample_id, _samples.c.problem, _samples.c.state, _samples.c.reason, _samples.c.partition
        ).order_by(_samples.c.sample_id)
        for name, problem, state, reason, partition in self._rows(query):
            yield name, problem, None if state is None else Standing(state, reason, partition)

    def reasons(self) -> dict[tuple[State, str], int]:
        """How many samples have each state and reason, as far as runs have placed them."""
        query = sa.select(_samples.c.state, _samples.c.reason, sa.func.count()).where(_samples.c.state.is_not(None))
        query = query.group_by(_samples.c.state, _samples.c.reason).order_by(_samples.c.state, _samples.c.reason)
        with self._begin() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def unusable(self, most: int) -> list[tuple[str, str]]:
        """Ids and reasons of unusable samples, by id, at most so many."""
        query = sa.select(_samples.c.sample_id, _samples.c.reason).filter_by(state="unusable")
        with self._begin() as connection:
            return [(row[0], row[1]) for row in connection.execute(query.order_by(_samples.c.sample_id).limit(most))]

    def settle(self, changed: Mapping[str, Standing]) -> None:
        """Write where samples stand now."""
        if not changed:
            return
        statement = (
            _samples.update()
            .where(_samples.c.sample_id == sa.bindparam("name"))
            .values(state=sa.bindparam("s"), reason=sa.bindparam("r"), partition=sa.bindparam("p"))
        )
        rows = [{"name": k, "s": v.state, "r": v.reason, "p": v.partition} for k, v in changed.items()]
        with self._begin() as connection:
            connection.execute(statement, rows)

    def accounting(self) -> Accounting:
        """Count every sample by its state; a sample no run has placed yet counts as unselected."""
        query = sa.select(_samples.c.state, sa.func.count()).group_by(_samples.c.state)
        with self._begin() as connection:
            counts: dict[str | None, int] = {row[0]: row[1] for row in connection.execute(query)}
        selected = {state: counts.get(state, 0) for state in SELECTED_STATES}
        return Accounting(
            ingested=sum(counts.values()),
            selected=sum(selected.values()),
            unselected=counts.get("unselected", 0) + counts.get(None, 0),
            unusable=counts.get("unusable", 0),
            **selected,
        )

    # -- inside

    def _rows(self, query: sa.Select[Any]) -> Iterator[Sequence[Any]]:
        """The rows of a query, fetched many at a time: one at a time takes three times as long."""
        with self._begin() as connection:
            for block in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query).partitions():
                yield from block

    def _upsert(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        statement = self._insert(table)
        keys = [column.name for column in table.primary_key]
        rest = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest), list(rows))

    def _insert(self, table: sa.Table) -> Any:
        """An insert that can say what to do with a row that is there."""
        if self._is_sqlite:
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # takes long to import, and few need it

        return postgresql.insert(table)

    def _insert_fast(
        self, connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: list[tuple[Any, ...]]
    ) -> None:
        """Bulk insert; on SQLite past SQLAlchemy's per-row dictionaries, which cost more than the database does."""
        if not rows:
            return
        if self._is_sqlite:
            marks = ", ".join("?" * len(columns))
            connection.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})", rows)
        else:
            connection.execute(table.insert(), [dict(zip(columns, row, strict=True)) for row in rows])


def _blocks(names: Iterable[str]) -> Iterator[list[str]]:
    """Names as many at a time as a statement may have parameters."""
    ordered = sorted(set(names))
    for start in range(0, len(ordered), ROWS_AT_ONCE // 2):
        yield ordered[start : start + ROWS_AT_ONCE // 2]


def _not_known(history: Sequence[Verdict], read: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts of a reading that a history does not end with, in the order read."""
    known, waiting = _by_author(history), _by_author(read)
    passed: dict[Any, int] = {}
    for author, ours in waiting.items():
        before = known.get(author, [])
        overlaps = range(min(len(before), len(ours)), 0, -1)
        passed[author] = next((n for n in overlaps if before[-n:] == ours[:n]), 0)
    dated = set(history)
    new: list[Verdict] = []
    for verdict in read:
        if verdict.at:
            if verdict not in dated:
                dated.add(verdict)
                new.append(verdict)
        elif passed[_author(verdict)]:
            passed[_author(verdict)] -= 1
        else:
            new.append(verdict)
    return new


def _by_author(verdicts: Iterable[Verdict]) -> dict[Any, list[Verdict]]:
    found: dict[Any, list[Verdict]] = {}
    for verdict in verdicts:
        if not verdict.at:
            found.setdefault(_author(verdict), []).append(verdict)
    return found


def _author(verdict: Verdict) -> tuple[str, str, str, str]:
    """Whose history a verdict belongs to: a person's on one revision, from one place."""
    return verdict.sample_id, verdict.revision, verdict.annotator, verdict.origin


def _sample(
    sample_id: str,
    category: str,
    part_id: str,
    view: str,
    stratum: Any,
    code: str,
    coarse_type: str | None,
    image_path: str,
    mask_path: str | None,
) -> Sample:
    """A sample whose few-valued texts exist once each, however many rows have them."""
    return Sample(
        sample_id,
        intern(category),
        intern(part_id),
        intern(view),
        intern(stratum),  # type: ignore[arg-type]
        intern(code),
        coarse_type and intern(coarse_type),
        image_path,
        mask_path,
    )


def _tuples(text: str) -> tuple[Any, ...]:
    """A JSON list of lists as a tuple of tuples."""
    return tuple(tuple(item) for item in orjson.loads(text))


def _flat(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in fields(value)}


def _region(text: str | None) -> Region | None:
    if text is None:
        return None
    data = orjson.loads(text)
    data["cells"] = tuple(data["cells"])
    data["boxes"] = tuple(tuple(box) for box in data["boxes"])
    return Region(**data)


def _tune_to_build(connection: sqlite3.Connection, _: object) -> None:
    for pragma in ("busy_timeout=60000", "journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()


def _tune_to_look(connection: sqlite3.Connection, _: object) -> None:
    """Who only looks does not wait long for a builder that is in the middle of writing."""
    connection.execute("PRAGMA busy_timeout=2000").close()


@contextmanager
def _database_errors(url: str) -> Iterator[None]:
    """Turn the driver's errors into ours; parameters are left out, since rows can hold anything."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        text = str(error.orig)
        if "disk is full" in text or "disk I/O error" in text:
            raise DiskFull(f"the ledger {url} cannot be written: {text}; free some space and run again") from None
        if "readonly" in text or "unable to open" in text:
            raise WorkspaceError(
                f"the ledger {url} cannot be written ({text}); check the workspace folder's permissions, "
                "or name another with --workspace"
            ) from None
        if "not a database" in text or "malformed" in text:
            raise WorkspaceError(
                f"the ledger {url} is damaged ({text}); restore a backup, or build into another workspace"
            ) from None
        if "locked" in text:
            raise WorkspaceError(f"the ledger {url} is in use by another program ({text})") from None
        raise WorkspaceError(f"the ledger {url} failed: {text}") from None
