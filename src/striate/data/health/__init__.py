"""The data doctor: what is wrong with a data set, found in one pass and shown with its pictures."""

from striate.data.health.examine import examine
from striate.data.health.page import page
from striate.data.health.report import Fact, Finding, Health, Weight

__all__ = ["Fact", "Finding", "Health", "Weight", "examine", "page"]
