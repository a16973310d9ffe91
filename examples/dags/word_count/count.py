"""Count the words of a text in the object store, and put the counts there: count.py OUTPUT [INPUT]."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, explode, split

TEXT = ["to be or not to be", "that is the question", "to die to sleep no more"]

output = sys.argv[1]
spark = SparkSession.builder.getOrCreate()
if len(sys.argv) > 2:
    text = sys.argv[2]
else:
    text = f"{output}/text"
    spark.createDataFrame([(line,) for line in TEXT], "value string").write.mode("overwrite").text(text)
words = spark.read.text(text).select(explode(split("value", r"\s+")).alias("word")).where("word != ''")
words.groupBy("word").count().write.mode("overwrite").json(f"{output}/counts")
first = spark.read.json(f"{output}/counts").orderBy(col("count").desc(), "word").first()
print(f"the most frequent word of {text} is {first['word']!r}, {first['count']} times")
spark.stop()
