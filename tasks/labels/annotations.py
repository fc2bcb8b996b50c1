"""What an annotation of Label Studio says, in the words of our tables. The only place where a row is made of one."""

from typing import Any

from labelwise.tasks.kinds import Answer
from labelwise.tasks.labels import ledger
from labelwise.tasks.services.label_studio.exported import in_utc


def said(annotation: dict[str, Any], answer: Answer, cell: str | None = None) -> dict[str, Any]:
    """The columns that LABELS and ANSWERS share: `label`, `status` (labelled or skipped), `annotator`, `annotation_id`,
    `lead_time_s`, `created_at`. annotation: as exported. cell: the item as it is kept, None where it is not known. The
    label is what was said, whether it names classes or not.
    """
    skipped, who = annotation["was_cancelled"], annotation["completed_by"]
    return {
        "label": None if skipped else answer.parse(annotation["result"], cell),
        "status": "skipped" if skipped else "labelled",
        "annotator": ledger.NOBODY if who is None else str(who["id"] if isinstance(who, dict) else who),
        "annotation_id": annotation["id"],
        "lead_time_s": annotation["lead_time"],
        "created_at": in_utc(annotation.get("updated_at") or annotation["created_at"]),
    }
