"""The paper's tables, each by one function: what is printed there beside what comes out here."""
