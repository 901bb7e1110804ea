"""The shared ID layout for semidbench: one semantic ID per item for both tasks."""
