"""The errors a user can cause or meet, as a tree. The command line prints each as one line and exits with its code.

what the machine refuses: memory, disk, rights, see `refused_by_machine`               exit 6
LabelwiseError
├── InputError            what the user gave: a file, a row, an option             exit 2
│   └── SettingsError     params.yaml                                              exit 2
├── WorkspaceError        the folder is not as the loop left it                    exit 3
│   └── WorkspaceBusy     another loop holds it                                    exit 4
└── ServiceError          Label Studio, MLflow, Prefect, DVC or git said no        exit 5
    └── ServiceDown       it did not answer at all                                 exit 5
        └── ServiceBusy   it answered that it cannot now: 429, 500 and above       exit 5
"""

import re
from collections.abc import Iterable

# user:password@ of an address, or a name alone, which may be a token; git@ is neither, nor is the name before the @
# where it stands for a container, or for anyone who signs in by a key
_NAMED = "".join(f"(?<!{kind}://)" for kind in ("az", "abfs", "abfss", "ssh", "sftp"))
_PASSWORD = re.compile(rf"(?<=://)(?!git@)(?:[^\s/@:]*:[^\s/]*|{_NAMED}[^\s/?#@]+)@")
# viewStateShareKey is no secret but the name of a view of MLflow's page
_PARAMETER = "(?:sig|signature|token|key|secret|password|credential)"
_SIGNED = re.compile(rf"([?&](?!viewStateShareKey=)[\w-]*{_PARAMETER}=)[^&\s]+", re.IGNORECASE)


def plain(text: str) -> str:
    """Text of anybody's, fit for a terminal and a log: one line, in which nothing is a command to the terminal (what
    does not print is written as \\x1b) and no address gives away its password.

    >>> print(plain("a \\n b \\x1b[2J from https://me:secret@example.org/x?token=abc"))
    a b \\x1b[2J from https://***@example.org/x?token=***
    >>> print(plain("round        3"))
    round        3
    """
    # Spaces within a line may be those of a table.
    one = " ".join(text.split()) if len(text.splitlines()) > 1 else text.replace("\t", " ")
    line = without_secrets(one.rstrip())
    return line if line.isprintable() else "".join(map(_visible, line))


def without_secrets(text: str) -> str:
    """Text in which no address gives away a password, a token or a signature. An address that loses something here is
    one that must not be committed either.

    >>> without_secrets("https://token@example.org/x"), without_secrets("abfs://container@account/x")
    ('https://***@example.org/x', 'abfs://container@account/x')
    """
    return _SIGNED.sub(r"\1***", _PASSWORD.sub("***@", text))


def named(names: Iterable[str]) -> str:
    """Names with commas between them; one that could be taken for two, or for none, stands in quotes.

    >>> print(named(["Fees, charges", "Refunds", " "]))
    'Fees, charges', Refunds, ' '
    """
    return ", ".join(repr(name) if "," in name or name != name.strip() or not name else name for name in names)


def quantity(count: int, one: str, several: str = "") -> str:
    """How many there are, in words. one: what is said of one; several: of none or more, else `one` with an s.

    >>> quantity(1, "item"), quantity(1200, "item"), quantity(0, "row is", "rows are")
    ('1 item', '1,200 items', '0 rows are')
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


NO_MEMORY = (
    "there is not enough memory: nothing that was done is lost. To mend it: give it more (`ulimit -v`, the container's "
    "limit, other programs), or take an encoder of fewer dimensions or a smaller pool; then run it again"
)
REFUSED = 6  # the exit code of what the machine refuses
# Libraries say it in words of their own, in errors of any kind.
LACK = re.compile(r"allocate memory|out of memory|bad_alloc|failed to map segment|can't start new thread", re.I)


def refused_by_machine(error: Exception) -> str:
    """The line for people where the machine said no: no memory, disk full, no rights, a file where a folder should be;
    '' for any other error.

    >>> refused_by_machine(FileNotFoundError(2, "No such file", "a.csv"))
    'No such file (a.csv). To mend it: make room or mend it, then run it again'
    >>> refused_by_machine(RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"))[:32]
    'there is not enough memory: noth'
    """
    if isinstance(error, MemoryError) or LACK.search(str(error)):
        return NO_MEMORY
    if not isinstance(error, OSError):
        return ""
    where = f" ({error.filename})" if error.filename else ""
    said = error.strerror or " ".join(f"{type(error).__name__}: {error}".split())
    mend = "change its rights or become its owner" if isinstance(error, PermissionError) else "make room or mend it"
    return f"{said}{where}. To mend it: {mend}, then run it again"


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
        super().__init__(plain(line))


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


class ServiceBusy(ServiceDown):
    """A service answered that it cannot now. retry_after: in how many seconds it can, where it says so."""

    def __init__(
        self, problem: str, *, retry_after: float | None = None, expected: str = "", got: str = "", fix: str = ""
    ) -> None:
        super().__init__(problem, expected=expected, got=got, fix=fix)
        self.retry_after = retry_after
