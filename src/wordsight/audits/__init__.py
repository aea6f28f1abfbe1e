"""Audit: labelled images, their words and the classifier's decisions -> findings.

The defaults of an audit stand here, so that the commands need no PyTorch.
"""

#: Sentences an image, of those that have any: with rates by conditional expectation, a word's rate is known to about four points.
SENTENCES = 24
#: The Benjamini-Hochberg rate of each step.
FALSE_DISCOVERY = 0.05
#: The minimum reliance of a word that counts as used, in standard deviations of the class's logit.
MIN_USED = 0.1
#: The minimum reliance of a word that is reported though its harm cannot be measured: more than honest heads show.
MIN_RELIED = 0.4
#: The share of images of other classes that such a word, added at its usual strength, has to turn into the class.
MIN_CHANGES = 0.05
#: Harm counts as not measurable if gaps between shares of errors below this would go unseen.
UNSEEN = 0.2
#: The minimum gap between shares of errors of a finding.
MIN_SEVERITY = 0.05
