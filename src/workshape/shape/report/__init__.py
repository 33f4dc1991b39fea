"""What is handed out: `document.py` is the report as values, `json.py` writes it as deterministic JSON."""
