"""Audit: labelled images, their words and the classifier's decisions -> findings.

The defaults of an audit stand here, so that the commands need no PyTorch.
"""

#: Sentences an image: with rates by conditional expectation, a word's rate is known to about four points.
SENTENCES = 24
#: The Benjamini-Hochberg rate of each step.
FALSE_DISCOVERY = 0.05
#: The minimum mean cosine of a word that counts as used.
MIN_USED = 0.02
#: The minimum gap between shares of errors of a finding.
MIN_SEVERITY = 0.05
