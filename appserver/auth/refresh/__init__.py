"""How new credentials are had in place of refused ones: the Refresher protocol, those that ship, and redemption."""
