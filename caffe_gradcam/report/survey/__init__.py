"""What a net looks at in general: mean maps, clusters of maps, and what is odd about them."""
