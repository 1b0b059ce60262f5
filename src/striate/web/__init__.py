"""The local page: runs, networks, images and designs, looked at in a browser.

A small server on this machine; its files are shown as they were written, nothing is built and
nothing is fetched from elsewhere.
"""

from striate.web.app import Page
from striate.web.shelf import Shelf
from striate.web.viewing import Viewing, view

__all__ = ["Page", "Shelf", "Viewing", "view"]
