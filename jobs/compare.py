"""Compare candidate models and cheap baselines on a Delta table, on a Spark cluster:

spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 jobs/compare.py --config conf/compare_banking77.yaml [section.key=value …]
"""

import sys

from sparknlp_ft.cli import main

if code := main(["compare", *sys.argv[1:]]):
    raise SystemExit(code)
