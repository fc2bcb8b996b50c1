"""Rules: run where the owner lets them, in a process of their own, and whatever is wrong in them is said in a line."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import labelwise
from labelwise.tasks.errors import InputError
from labelwise.tasks.labels import rules
from labelwise.tasks.labels.judged import Spoken
from labelwise.tasks.records import POOL, Schema
from labelwise.tasks.workspace import Workspace, write_parquet

TEXTS = ["My parcel is late.", "The glass is broken.", "Thank you!", "Where is my parcel?"]
IDS = pd.Series([f"{n:016x}" for n in range(len(TEXTS))])
CONTENT: dict[str, Any] = {
    "project": {"name": "n", "id": "i"},
    "classes": ["late", "broken", "thanks"],
    "pull": {"pool": "p", "gold": "g"},
}
HEAD = "from labelwise import rule\n\n\n@rule\ndef parcels(item):\n    "


@pytest.fixture(autouse=True)
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(rules.ALLOW, "1")
    monkeypatch.setattr(rules, "ITEM_SECONDS", 0.2)


def made(root: Path, text: str, **settings: Any) -> Workspace:
    (root / "params.yaml").write_text(json.dumps(CONTENT | settings))
    (root / rules.FILE).write_text(text)
    here = Workspace(root)
    columns = Schema("pool", POOL.columns | {"context": "string", "group": "string"})
    contexts = ['{"shop": "Nord"}', None, None, None]
    table = {"id": IDS, "text": TEXTS, "source_id": None, "context": contexts, "group": ["g", None, None, None]}
    write_parquet(here.pool / "shard-0000.parquet", pd.DataFrame(table), columns)
    return here


def spoken(root: Path, text: str, **settings: Any) -> list[Spoken]:
    return rules.spoken(made(root, text, **settings), IDS)


def said(one: Spoken) -> dict[int, str]:
    return {int(each, 16): label for each, label in one.labels.itertuples(index=False, name=None)}


def test_a_rule_sees_text_context_and_group_and_may_say_nothing(tmp_path: Path) -> None:
    text = HEAD + 'return "late" if "parcel" in item.text else None\n\n\n'
    there = 'item.context.get("shop") == "Nord" and item.group == "g"'
    text += f'@rule(name="shop: Nord")\ndef f(item):\n    return "broken" if {there} else None\n'
    one, other = spoken(tmp_path, text)
    assert (one.name, said(one), one.remarks) == ("parcels", {0: "late", 3: "late"}, [])
    assert (other.name, said(other)) == ("shop: Nord", {0: "broken"})


def test_the_rule_of_the_page_runs(tmp_path: Path) -> None:
    page = (Path(labelwise.__file__).parent / "docs" / "rules.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (one,) = spoken(tmp_path, block.replace("billing", "late").replace("refund", "where"))
    assert (one.name, said(one)) == ("asks_for_money", {3: "late"})


def test_several_classes_and_none_of_them_are_answers_where_an_item_may_have_several(tmp_path: Path) -> None:
    body = 'return {"late", "broken"} if "parcel" in item.text else [] if "Thank" in item.text else None\n'
    (one,) = spoken(tmp_path, HEAD + body, kind={"answer": "multilabel"})
    assert said(one) == {0: '["broken", "late"]', 2: "[]", 3: '["broken", "late"]'}


@pytest.mark.parametrize(
    ("body", "left", "remark"),
    [
        (
            'return {"M": "late"}[item.text[0]]',
            {0: "late"},
            "raised an error on 3 items, of which it says nothing; the first line 6: KeyError: 'T'",
        ),
        ("return item.missing", {}, "raised an error on 4 items"),
        ('return open("words.txt").read()', {}, "FileNotFoundError"),
        ("raise SystemExit(3)", {}, "raised an error on 4 items"),
        ('while "parcel" in item.text: pass', {}, "took more than 0.2 s on 2 items"),
        (
            "while True:\n        try:\n            pass\n        except Exception:\n            pass",
            {},
            "took more than 0.2 s on 3 items",
        ),
        ('return "Late"', {}, "said 'Late' of 4 items, which is no class; did you mean 'late'?"),
        ('return "parcel"', {}, "said 'parcel' of 4 items, which is no class; the classes are late, broken, thanks"),
        ('return ["late", "broken"]', {}, "said 'late, broken' of 4 items, which is no class"),
        ("return 7", {}, "said '7' of 4 items, which is no class"),
        ("return object()", {}, "TypeError: Object of type object is not JSON serializable"),
        (
            'print(item.text)\n    return "late" if item.text[0] == "M" else None',
            {0: "late"},
            f"printed {sum(map(len, TEXTS)) + 4} characters, which nobody sees",
        ),
        ('import os; os.write(1, b"{}"); return "late" if item.text[0] == "M" else None', {0: "late"}, ""),
    ],
)
def test_what_goes_wrong_in_a_rule_is_said_and_the_others_go_on(
    tmp_path: Path, body: str, left: dict[int, str], remark: str
) -> None:
    good = '\n\n\n@rule\ndef thanks(item):\n    return "thanks" if "Thank" in item.text else None\n'
    one, other = spoken(tmp_path, HEAD + body + good)
    assert said(one) == left
    assert any(remark in line for line in one.remarks) if remark else not one.remarks
    assert said(other) == {2: "thanks"} and not other.remarks
    gave_up = remark.startswith(("raised an error on 4", "FileNotFound", "took more than 0.2 s on 3", "TypeError"))
    assert ("is left out" in one.remarks) == gave_up


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("from labelwise import rule\n\ndef f(:\n", "cannot be run: got line 3: SyntaxError"),
        ("import nothing_of_this_name\n", "cannot be run: got line 1: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "cannot be run: got line 1: SystemExit: 3"),
        ("from labelwise import rule\n", "has no rule"),
        (HEAD + "return None\n\n\n@rule\ndef parcels(item):\n    return None\n", "two rules are called 'parcels'"),
        (HEAD + "import os; os._exit(3)\n", "the process ended in parcels"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_line(tmp_path: Path, text: str, wrong: str) -> None:
    with pytest.raises(InputError) as refused:
        spoken(tmp_path, text)
    assert wrong in str(refused.value) and "\n" not in str(refused.value)


def test_a_rule_that_never_comes_back_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In code that no signal stops."""
    monkeypatch.setattr(rules, "RULE_SECONDS", 6)
    quick = "\n\n".join(f'@rule(name="{n}")\ndef f(item):\n    return None\n' for n in range(3))
    body = "import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); time.sleep(60)\n"
    with pytest.raises(InputError, match="parcels does not come back"):
        spoken(tmp_path, f"from labelwise import rule\n\n{quick}{HEAD}{body}")


def test_a_rule_has_none_of_our_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "late")
    body = 'import os; return os.environ.get("LABEL_STUDIO_API_KEY") or os.environ.get("LABELWISE_HOME") or "thanks"\n'
    (one,) = spoken(tmp_path, HEAD + body)
    assert set(said(one).values()) == {"thanks"}


@pytest.mark.parametrize("kind", [{"answer": "spans"}, {"item": "image"}])
def test_what_rules_cannot_say_is_refused(tmp_path: Path, kind: dict[str, str]) -> None:
    with pytest.raises(InputError, match="texts or rows, of which one class is said or several"):
        spoken(tmp_path, HEAD + "return None\n", kind=kind)


def test_nothing_runs_unless_the_owner_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(rules.ALLOW)
    here = made(tmp_path, HEAD + "return None\n")
    with pytest.raises(InputError, match="has never run here: nothing was run"):
        rules.refuse_unasked(here, None)
    with pytest.raises(InputError, match="nothing was run"):
        rules.refuse_unasked(here, lambda _question: False)
    rules.refuse_unasked(here, lambda question: "it is code" in question)
    rules.refuse_unasked(here, None)  # it is remembered
    kept = tmp_path / "home" / rules.ALLOWED
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    kept.write_text("{")  # it was cut off
    with pytest.raises(InputError, match="nothing was run"):
        rules.refuse_unasked(here, None)
    rules.refuse_unasked(here, lambda _question: True)
    (tmp_path / rules.FILE).write_text(HEAD + "return 'late'\n")
    with pytest.raises(InputError, match="has changed since you let it run"):
        rules.refuse_unasked(here, None)
    monkeypatch.setenv(rules.ALLOW, "1")
    rules.refuse_unasked(here, None)
    (tmp_path / rules.FILE).unlink()
    with pytest.raises(InputError, match=r"there is no .*rules\.py"):
        rules.refuse_unasked(here, None)
