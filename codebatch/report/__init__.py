"""One self-contained page of HTML about a batch, to be looked at offline.

The page holds its data as JSON, column by column, with every text once; its script and its style
are the only ones that its policy lets run, by their digests, and it asks nothing of a network. What
comes from a tree is shown as text alone. It is as large as `tables.Budget` lets it be: what is
left out is counted and said in it. The same batch gives the same bytes: nothing of a clock, a
host or a folder of a machine is in it.
"""

from __future__ import annotations

from codebatch.report.write import ReportRequest, WrittenReport, write_report

__all__ = ["ReportRequest", "WrittenReport", "write_report"]
