"""The charge domain: lines, capacitor arrays, comparators and the errors of their parts."""
