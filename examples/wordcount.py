"""Put a text into the object store, count its words from there, and put the counts beside it."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, explode, split

TEXT = ["to be or not to be", "that is the question", "to die to sleep no more"]

directory = sys.argv[1]
spark = SparkSession.builder.getOrCreate()
spark.createDataFrame([(line,) for line in TEXT], "value string").write.mode("overwrite").text(f"{directory}/text")
words = spark.read.text(f"{directory}/text").select(explode(split("value", " ")).alias("word"))
words.groupBy("word").count().write.mode("overwrite").json(f"{directory}/counts")
first = spark.read.json(f"{directory}/counts").orderBy(col("count").desc()).first()
print(f"the most frequent word is {first['word']!r}, {first['count']} times")
spark.stop()
