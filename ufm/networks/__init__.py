"""Networks that the trainings use: encoders, explicit classifiers and linear, nonlinear and convolutional DEQs."""
