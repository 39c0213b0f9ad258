"""The exponential moving average."""
