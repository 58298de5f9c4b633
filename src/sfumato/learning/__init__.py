"""How a net learns: what is minimised, by which rule, at which rate, on which samples; the session and the loop.

Nothing here knows an engine: an engine implements `session.Session`, and `loop.drive` owns beats, clock and pulses.
"""
