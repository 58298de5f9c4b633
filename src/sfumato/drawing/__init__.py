"""Drawing: palettes, a canvas for tiles and text, charts, video files. Knows pictures, and no net."""
