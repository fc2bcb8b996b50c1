"""The errors a user can cause or meet, as a tree. The command line prints each as one line and exits with its code.

LabelwiseError
├── InputError            what the user gave: a file, a row, an option             exit 2
│   └── SettingsError     params.yaml                                              exit 2
├── WorkspaceError        the folder is not as the loop left it                    exit 3
│   └── WorkspaceBusy     another loop holds it                                    exit 4
└── ServiceError          Label Studio, MLflow, Prefect, DVC or git said no        exit 5
    └── ServiceDown       it did not answer at all                                 exit 5
"""


class LabelwiseError(Exception):
    """What was expected, what came, and what to do, in one line.

    >>> print(InputError("pool.csv has no column 'body'", expected="one of id, text", fix="set pull.columns.text"))
    pool.csv has no column 'body': expected one of id, text. To mend it: set pull.columns.text
    """

    exit_code = 1

    def __init__(self, problem: str, *, expected: str = "", got: str = "", fix: str = "") -> None:
        facts = ", ".join(f"{word} {value}" for word, value in (("expected", expected), ("got", got)) if value)
        line = f"{problem}: {facts}" if facts else problem
        if fix:
            line = f"{line.rstrip('.')}. To mend it: {fix}"
        super().__init__(" ".join(line.split()))


class InputError(LabelwiseError):
    """A file, a row or an option that the user gave cannot be used."""

    exit_code = 2


class SettingsError(InputError):
    """params.yaml holds an unknown key, a wrong type or a value out of range."""


class WorkspaceError(LabelwiseError):
    """The folder is no workspace, or somebody changed files that the loop owns."""

    exit_code = 3


class WorkspaceBusy(WorkspaceError):
    """Another loop is at work in this workspace."""

    exit_code = 4


class ServiceError(LabelwiseError):
    """A service answered, and said no."""

    exit_code = 5


class ServiceDown(ServiceError):
    """A service did not answer."""
