# scaling.gp - Cost over size. The name of a curve includes the fitted slope.
