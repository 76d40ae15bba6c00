"""The elastic network: sub-network configurations, training, extraction and export."""
