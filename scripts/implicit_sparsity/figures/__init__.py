"""Figures: one each, from long tables to the frame of exactly what is drawn, to a picture."""
