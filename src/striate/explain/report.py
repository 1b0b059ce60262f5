"""What `striate explain` leaves behind: a folder of pictures, and what is said of each."""

from __future__ import annotations

from striate.draw import Section
from striate.records import Record


class Report(Record, frozen=True, kw_only=True):
    """Everything that was looked at.

    Args:
        run: the run folder.
        network: its name.
        contract: digest of the contract that images went through.
        folder: where the pictures are.
        page: the page that shows them.
        sections: in order.
    """

    run: str
    network: str
    contract: str
    folder: str
    page: str
    sections: tuple[Section, ...]
