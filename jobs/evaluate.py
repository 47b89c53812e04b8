"""Measure a registered model on a labelled table, on a Spark cluster:

spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 jobs/evaluate.py --config conf/banking77.yaml [section.key=value …]
"""

import sys

from sparknlp_ft.cli import main

if code := main(["evaluate", *sys.argv[1:]]):
    raise SystemExit(code)
