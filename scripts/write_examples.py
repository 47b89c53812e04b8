"""Write examples/tickets.csv: 240 short messages to a support desk, as one's own table would hold them (ticket_id, body, queue).

Texts are the demo's own (``sparknlp_ft.demo``), seeded, so that the file is the same wherever it is written; a test says so.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from sparknlp_ft.demo.messages import messages

FILE = Path(__file__).parent.parent / "examples" / "tickets.csv"

#: What messages are about, and the queue that answers them.
QUEUES = {"reset_password": "accounts", "charged_twice": "billing", "delivery_late": "delivery", "app_crash": "software"}
ROWS, LONGEST = 60, 90


def tickets() -> str:
    """Return the text of the file."""
    kept = [row for row in messages(seed=11) if row.intent in QUEUES and len(row.text) <= LONGEST]
    taken: dict[str, int] = dict.fromkeys(QUEUES, 0)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["ticket_id", "body", "queue"])
    number = 1000
    for row in kept:
        if taken[row.intent] < ROWS:
            taken[row.intent] += 1
            number += 1
            writer.writerow([number, row.text, QUEUES[row.intent]])
    return stream.getvalue()


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(tickets(), encoding="utf-8")
