"""Score a Delta table with a registered model and merge the predictions, on a Spark cluster:

spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 jobs/score.py --config conf/banking77.yaml [section.key=value …]
"""

import sys

from sparknlp_ft.cli import main

if code := main(["score", *sys.argv[1:]]):
    raise SystemExit(code)
