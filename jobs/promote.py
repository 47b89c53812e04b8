"""Give a model the alias if it beats the aliased one, on a Spark cluster:

spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 jobs/promote.py --config FILE score.model=runs:/ID/model [section.key=value …]
"""

import sys

from sparknlp_ft.cli import main

if code := main(["promote", *sys.argv[1:]]):
    raise SystemExit(code)
