"""Views of a run, made from what it kept: film, atlas of neurons, plots, report, exports. They need no training."""
