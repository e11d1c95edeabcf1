"""The demo's notices, in the labelled layout of CBSA's 2025 bulletins; written by us, no real bulletin has these numbers.

`{day}` stands for the day of the demo, YYYY-MM-DD: a notice of another year would rightly make the reader doubt.
"""

from typing import Final

_LAYOUT: Final = """{title}

Start Date / Time

{{day}} {start} (ET)

End Date / Time

{end}

Clients Affected

{clients}

Description

{description}

Action Required

Please refer to the contingency procedures or be prepared to resume transmission once the system is available.
"""

PORTALS_DOWN: Final = _LAYOUT.format(
    title="TCC25-9132 - CERS and eManifest Portals are Unavailable",
    start="08:20",
    end="Initial investigation underway",
    clients="All clients submitting trade data using the eManifest, CERS and CARM Client portals.",
    description="The Canadian Export Reporting System (CERS) and eManifest Portal are currently unavailable for some clients.",
)

PORTALS_RESOLVED: Final = _LAYOUT.format(
    title="TCC25-9132 RESOLVED - CERS and eManifest Portals are Unavailable",
    start="08:20",
    end="{day} 15:05 (ET)",
    clients="All clients submitting trade data using the eManifest and CERS portals.",
    description="The CERS and eManifest Portal issue has now been resolved.",
)

EDI_DOWN: Final = _LAYOUT.format(
    title="TCC25-9133 - Electronic Data Interchange (EDI) Inbound Outage",
    start="09:40",
    end="Initial investigation underway",
    clients="All clients and service providers who send trade data by EDI.",
    description="The CBSA is currently unable to receive inbound EDI messages. Clients cannot send EDI to the CBSA.",
)

EDI_RESOLVED: Final = _LAYOUT.format(
    title="TCC25-9133 RESOLVED - Electronic Data Interchange (EDI) Inbound Outage",
    start="09:40",
    end="{day} 15:10 (ET)",
    clients="All clients and service providers who send trade data by EDI.",
    description="The EDI inbound outage has now been resolved.",
)
