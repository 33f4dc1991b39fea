"""Functions from OCI images. Read `reference.py`, `manifest.py` and `model.py` (what an image is), then `blob.py` and
the sources `local.py` and `registry.py` (where its parts come from), `root.py` and `layers.py` (how they become a root
folder), `store.py` (keeps those folders), and `deployments.py` (gives them to functions).
"""
