"""How a net learns: what is minimised, by which rule, at which rate, on which samples; the loop and its ticks."""
