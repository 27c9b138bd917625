"""Measuring a model on a data set: one module a measurement, with an entry point of the same name."""
