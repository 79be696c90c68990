"""Building blocks that know no encoder and no source: masks, attention, positions, blocks, caches, losses."""
