"""Run one of the commands on a Spark cluster:

spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 jobs/run.py COMMAND --config conf/banking77.yaml [section.key=value …]
"""

from sparknlp_ft.cli import main

if code := main():
    raise SystemExit(code)
