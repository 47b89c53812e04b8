"""Make a registered model of a model folder that was not trained here; it runs on the driver alone:

spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 jobs/package.py --config conf/package_ner.yaml [section.key=value …]
"""

import sys

from sparknlp_ft.cli import main

if code := main(["package", *sys.argv[1:]]):
    raise SystemExit(code)
