"""Stage `agree`: one label an item from all that people said, and how far it can be trusted."""

from labelwise.tasks import stage
from labelwise.tasks.errors import quantity
from labelwise.tasks.labels import consensus, ledger
from labelwise.tasks.workspace import Workspace, write_parquet


def run(workspace: Workspace) -> str:
    """Read the ledger, write data/consensus.parquet. Returns a line for people."""
    written = consensus.with_weak(workspace, ledger.held(workspace))
    write_parquet(workspace.consensus, written)
    table = written[written.people > 0]
    said, several = quantity(len(table), "label"), table[table.people > 1]
    if len(written) > len(table):
        said += f", and weak ones of {quantity(len(written) - len(table), 'item')} that nobody has labelled"
    if several.empty:
        return said
    differ = int((several.doubt > 0).sum())
    return f"{said}, {len(several):,} by two people or more, who differ on {differ:,}; trust {table.trust.mean():.2f}"


if __name__ == "__main__":
    stage.main(run)
