"""The paper's tables: the printed numbers beside those measured here."""
