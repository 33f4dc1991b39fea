"""THE CONSOLE: the web page of a running engine, for whoever has to know what is on fire now, and put it out.

Read `guard.py` (who may ask: a page on this machine, and no page of anybody else's), `view.py` (what a view is),
`now.py` (the view of this moment), `server.py` (the port). `static/` has the pages as browsers get them; nothing is
built, nothing comes from elsewhere. Another view is a file like `now.py`, and its page.
"""
