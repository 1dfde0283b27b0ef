"""The exact arithmetic under the proof steps: ranges, enclosures, the language of expressions, signs of polynomials."""
