"""The popularity ranker for semidbench: training interactions counted per item."""
