"""The words of a credential: one user's access at one client, for its life (BL 6 to 11)."""

from __future__ import annotations

from typing import Literal

SuspensionGround = Literal["BL-8", "BL-10"]
"""A reported leak, or a suspicion."""
Scope = Literal["one", "several", "client"]
"""Whom one act suspends."""
EndGround = Literal["BL-3-notice", "BL-9", "BL-10", "BL-11", "BL-16-erase", "SE-2.10", "GJ-portal"]
"""By what an account ends: no authenticator left, asked or a breach, danger, the contract's end, no longer needed, a
leaver or mover, or the portal's term."""
