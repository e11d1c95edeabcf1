"""The demo's notices, in the labelled layout of CBSA's 2025 bulletins; written by us, no real bulletin has these numbers."""

from typing import Final

_FOOT: Final = """
Action Required

Please refer to the contingency procedures or be prepared to resume transmission once the system is available.
"""

PORTALS_DOWN: Final = f"""TCC25-9132 - CERS and eManifest Portals are Unavailable

Start Date / Time

2025-11-24 08:20 (ET)

Clients Affected

All clients submitting trade data using the eManifest, CERS and CARM Client portals.

Description

The CBSA's Canadian Export Reporting System (CERS) and eManifest Portal are currently unavailable for some clients.
{_FOOT}"""

PORTALS_RESOLVED: Final = f"""TCC25-9132 RESOLVED - CERS and eManifest Portals are Unavailable

Start Date / Time

2025-11-24 08:20 (ET)

End Date / Time

2025-11-24 15:05 (ET)

Clients Affected

All clients submitting trade data using the eManifest and CERS portals.

Description

The CERS and eManifest Portal issue has now been resolved.
{_FOOT}"""

EDI_DOWN: Final = f"""TCC25-9133 - Electronic Data Interchange (EDI) Inbound Outage

Start Date / Time

2025-11-24 09:40 (ET)

End Date / Time

Initial investigation underway

Clients Affected

All clients and service providers who send trade data by EDI.

Description

The CBSA is currently unable to receive inbound EDI messages. Clients cannot send EDI to the CBSA.
{_FOOT}"""

EDI_RESOLVED: Final = f"""TCC25-9133 RESOLVED - Electronic Data Interchange (EDI) Inbound Outage

Start Date / Time

2025-11-24 09:40 (ET)

End Date / Time

2025-11-24 15:10 (ET)

Clients Affected

All clients and service providers who send trade data by EDI.

Description

The EDI inbound outage has now been resolved.
{_FOOT}"""
