"""The dictionary quantizer for semidbench: scikit-learn's MiniBatchDictionaryLearning."""
