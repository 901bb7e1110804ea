"""Text embedders and dense retrieval for semidbench: frozen and fine-tuned bi-encoders."""
