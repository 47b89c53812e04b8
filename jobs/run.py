"""Run one of the commands on a Spark cluster:

spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 jobs/run.py COMMAND --config conf/banking77.yaml [section.key=value …]

A scheduler that tries again whatever failed gives ``--refusal FILE`` before COMMAND, see ``sparknlp_ft.cli.attempt``.
"""

from sparknlp_ft.cli import attempt

if code := attempt():
    raise SystemExit(code)
