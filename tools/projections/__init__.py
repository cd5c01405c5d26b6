"""Views of the market in SQL tables, which follow the events of a journal exactly once."""
