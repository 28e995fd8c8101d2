"""Operations: statistics of studies, what a deployment costs, and when keys are due."""
