"""Every error expertad raises on purpose, and the exit code each one means at the shell.

ExpertADError
├── UserError (2)            the user's mistake: says what, where, and what to do
│   ├── ConfigError          a setting is missing, unknown or out of range
│   ├── SourceError          the source data set cannot be read at all
│   ├── WorkspaceError       the workspace cannot be used (read-only, newer ledger)
│   │   ├── WorkspaceHeld    another builder is at work in it
│   │   └── WorkspaceNotBuilt  nothing was built in it yet
│   └── ReviewError          a verdict file or review server cannot be used
├── AbortError (3)           the run stopped early; what was done is kept
│   ├── BudgetExceeded       the next call would cost more than the budget allows
│   ├── TeacherAbort         no further call can succeed (wrong key, retired model, no money)
│   └── DiskFull             nothing more can be written
└── DataError                one sample is bad: becomes a state with a reason, never a crash
    ├── ImageError           an image file cannot be used
    ├── MaskError            a mask cannot be used
    ├── PatternError         a text does not follow the N- or A-pattern
    ├── RecordError          a row does not satisfy the published schema
    └── ReplyError           a teacher's reply cannot be used
"""

from __future__ import annotations


class ExpertADError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the shell sees."""

    exit_code = 1


class UserError(ExpertADError):
    """The user's mistake; the message says what, where, and what to do."""

    exit_code = 2


class ConfigError(UserError):
    """A setting is missing, unknown or out of range."""


class SourceError(UserError):
    """The source data set cannot be read at all."""


class WorkspaceError(UserError):
    """The workspace cannot be used: held by another builder, read-only, or written by a newer version."""


class WorkspaceHeld(WorkspaceError):
    """Another builder is at work in the workspace."""


class WorkspaceNotBuilt(WorkspaceError):
    """Nothing was built in the workspace yet."""


class ReviewError(UserError):
    """A verdict file or a review server cannot be used."""


class AbortError(ExpertADError):
    """The run stopped before it was done; everything finished so far is kept and the run can be repeated."""

    exit_code = 3


class BudgetExceeded(AbortError):
    """The next teacher call would cost more than `--budget` allows."""


class TeacherAbort(AbortError):
    """No further teacher call can succeed: wrong key, unknown or retired model, account without money."""


class DiskFull(AbortError):
    """Nothing more can be written to the workspace."""


class DataError(ExpertADError):
    """One sample is bad. Stages turn this into a state with a reason; it never ends a run."""


class ImageError(DataError):
    """An image file is missing, unreadable, rotated by EXIF, or of an unusable kind."""


class MaskError(DataError):
    """A mask is missing, unreadable, empty, or of another size than its image."""


class PatternError(DataError):
    """A text or its fields do not follow the N- or A-pattern."""


class RecordError(DataError):
    """A row does not satisfy the published schema."""


class ReplyError(DataError):
    """A teacher's reply cannot be used as it is."""
