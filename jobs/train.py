"""Fine-tune a transformer on a Delta table and register it, on a Spark cluster:

spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 jobs/train.py --config conf/banking77.yaml [section.key=value …]
"""

import sys

from sparknlp_ft.cli import main

if code := main(["train", *sys.argv[1:]]):
    raise SystemExit(code)
