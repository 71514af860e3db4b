"""The report of a run: one HTML file that needs nothing else."""

from asap_tf.training.report.page import Example, write_report

__all__ = ["Example", "write_report"]
