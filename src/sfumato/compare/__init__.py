"""Ideas against each other under one budget: statistics, jobs and workers, comparisons, sweeps."""
