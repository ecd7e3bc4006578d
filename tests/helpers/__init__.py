"""What tests share: builders, oracles, planted faults, processes."""
