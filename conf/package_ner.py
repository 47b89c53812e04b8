"""What conf/package_ner.yaml puts around its model. This file travels with the model, so it imports installed packages alone.

Both functions get batches of any size with the rows that have text, and with the text columns alone; they return a row for
each row, under the frame's index. A row at which one of them raises gets status 'error', and the other rows are scored.
"""

import pandas as pd

#: Typographic quotes become plain ones, one for one: the offsets of entities stay those of the text in the table.
QUOTES = str.maketrans("‘’‚“”„", "'''\"\"\"")


def preprocess(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the texts as the model shall read them."""
    return frame.assign(content=frame["content"].str.translate(QUOTES))


def postprocess(frame: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the prediction columns: here the entities as the model found them, their number, and the names of people."""
    found = predictions["entities"]
    people = found.map(lambda entities: [entity["text"] for entity in entities if entity["label"] == "PER"])
    return predictions.assign(n_entities=found.map(len), people=people)
