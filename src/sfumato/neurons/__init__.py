"""What is inside a net: every hidden neuron as a picture and in numbers. Knows nets and pictures, and no run."""
