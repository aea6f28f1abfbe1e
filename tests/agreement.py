"""Do sampled sentences have the probabilities that they should have?"""

from collections import Counter

from scipy.stats import chisquare


def agreement(counts: Counter, probabilities: dict) -> float:
    """p-value of a chi-square test; what is expected less than five times is pooled. 0 if an impossible thing was seen."""
    if set(counts) - set(probabilities):
        return 0.0
    total = sum(counts.values())
    seen, expected, rare_seen, rare_expected = [], [], 0, 0.0
    for sentence, probability in probabilities.items():
        if probability * total < 5:
            rare_seen += counts[sentence]
            rare_expected += probability * total
        else:
            seen.append(counts[sentence])
            expected.append(probability * total)
    if rare_expected >= 5:
        seen.append(rare_seen)
        expected.append(rare_expected)
    scale = sum(seen) / sum(expected)
    return float(chisquare(seen, [e * scale for e in expected]).pvalue)
