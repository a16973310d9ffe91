"""The script of an application that waits with its pages open: it counts, so that there is something to see, and ends when told to."""

# Spark is in the image, not in the environment of the checks.
# mypy: disable-error-code="import-not-found"

import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

may_end = Path(sys.argv[1])
with SparkSession.builder.getOrCreate() as spark:
    spark.range(1000).selectExpr("id % 7 AS day").groupBy("day").count().collect()
    while not may_end.exists():
        time.sleep(0.5)
