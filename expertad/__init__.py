"""expertad builds Expert-AD: image + question -> structured reasoning, from an industrial anomaly data set."""

__version__ = "0.1.0"
