"""Measuring a model on a data set.

Each measurement has a module with a function of the same name: `zeroshot.zeroshot`, `probe.probe`,
`retrieval.retrieval`, `robustness.robustness`, `description.description`, and `compare.compare` for two models. Each
returns its results as a dict and, where a folder is given, writes them there.
"""
