"""The proof, by room.  A package, because Ciw installs one of this name, and the first one found is taken."""
