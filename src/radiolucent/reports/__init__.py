"""One self-contained HTML file for people, and `summary.json` for programs."""

from radiolucent.reports.html import write_report
from radiolucent.reports.report_data import CaseStory, Doctors, Picture, Story
from radiolucent.reports.summary import summary

__all__ = ["CaseStory", "Doctors", "Picture", "Story", "summary", "write_report"]
